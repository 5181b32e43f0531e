"""Mirrors of upstream's repositories, by a real git."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from sandbox.mirrors import MIRRORS, Mirror, make_mirror
from sandbox.settings import ROOT

pytestmark = pytest.mark.requirement("SANDBOX-012")

CHARTS = Mirror("istio/istio", "1.31.0", "istio", "istio.io/istio", ("manifests/charts/base", "manifests/more"))
PLACEHOLDER = "from-facts"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A folder as Go's module cache has it: read-only, with more in it than anybody asks for."""
    folder = tmp_path / "istio@v0.0.0-1"
    for path in ("manifests/charts/base/Chart.yaml", "manifests/more/values.yaml", "pilot/main.go", ".gitignore"):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("*\n" if path == ".gitignore" else f"# {path}\n")
        file.chmod(0o444)
    return folder


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True, check=True).stdout


def test_a_mirror_holds_the_folders_and_nothing_else_under_upstreams_tag(tmp_path: Path, module: Path) -> None:
    make_mirror(tmp_path / "istio.git", CHARTS, module)
    listed = git(tmp_path / "istio.git", "ls-tree", "-r", "--name-only", "1.31.0").split()
    assert listed == ["manifests/charts/base/Chart.yaml", "manifests/more/values.yaml"]


def test_a_mirror_is_the_same_wherever_and_by_whomever_it_is_made(
    tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_mirror(tmp_path / "here.git", CHARTS, module)
    elsewhere = Path(shutil.copytree(module, tmp_path / "elsewhere" / module.name))
    (elsewhere / "manifests/more/values.yaml").touch()
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\tautocrlf = true\n[user]\n\tname = Somebody\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    make_mirror(tmp_path / "there.git", CHARTS, elsewhere)
    assert len({git(tmp_path / f"{name}.git", "rev-parse", "1.31.0") for name in ("here", "there")}) == 1


def test_a_mirror_is_made_again_only_for_another_version(tmp_path: Path, module: Path) -> None:
    repository = tmp_path / "upstream" / "istio.git"
    make_mirror(repository, CHARTS, module)
    first = repository.stat().st_ino
    make_mirror(repository, CHARTS, module)
    assert repository.stat().st_ino == first
    (module / "manifests/more/values.yaml").chmod(0o644)
    (module / "manifests/more/values.yaml").write_text("changed: true\n")
    make_mirror(repository, CHARTS, module.rename(module.with_name("istio@v0.0.0-2")))
    assert git(repository, "show", "1.31.0:manifests/more/values.yaml") == "changed: true\n"


def applications() -> list[dict[str, str]]:
    told = [yaml.safe_load(path.read_text()) for path in ROOT.glob("platform/addons/*/application.yaml")]
    return [each["spec"]["source"] for each in told if each["spec"]["source"]["repoURL"] != PLACEHOLDER]


def test_every_application_finds_its_repository_revision_and_path() -> None:
    mirrors = {f"{PLACEHOLDER}/{each.repository}.git": each for each in MIRRORS}
    assert {source["repoURL"] for source in applications()} == set(mirrors)
    for source in applications():
        mirror = mirrors[source["repoURL"]]
        assert source["targetRevision"] == mirror.tag
        assert any(Path(source["path"]).is_relative_to(folder) for folder in mirror.folders), source["path"]
