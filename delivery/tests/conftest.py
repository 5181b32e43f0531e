"""A fork that has released, as a git repository to change and promote in."""

import shutil
import subprocess
from pathlib import Path

import pytest
from delivery.programs import KUSTOMIZE, Toolbox
from delivery.stages import STAGES, release_path
from local_stack.settings import StackSettings

ROOT = Path(__file__).resolve().parents[2]


class Fork:
    """A repository with what environments are rendered from, and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(self.folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n")

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def release_file(self, environment: str, service: str) -> Path:
        return self.folder / release_path(environment, service)

    def write(self, environment: str, service: str, digest: str) -> None:
        """Let an environment run an image whose digest is one digit, many times."""
        file = self.release_file(environment, service)
        before = (ROOT / file.relative_to(self.folder)).read_text()
        lines = before.splitlines(keepends=True)
        images = [line.startswith(("    newTag:", "    digest:")) for line in lines]
        lines = [
            f"    digest: sha256:{digest * 64}\n" if is_image else line
            for line, is_image in zip(lines, images, strict=True)
        ]
        file.write_text("".join(lines))

    def release(self, digest: str, *services: str, environment: str = "dev") -> str:
        for service in services:
            self.write(environment, service, digest)
        return self.commit(f"Release {digest} of {', '.join(services)} to {environment}")

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="session")
def kustomize() -> Path:
    if not shutil.which("go"):
        reason = "no Go here, and kustomize is built with it"
        if StackSettings.read().environment.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Toolbox().program(KUSTOMIZE)


@pytest.fixture
def fresh_fork(tmp_path: Path) -> Fork:
    """Nothing was released yet."""
    fork = Fork(tmp_path / "fork")
    for tree in ("clusters", "platform"):
        shutil.copytree(ROOT / tree, fork.folder / tree)
    for base in ROOT.glob("services/*/deploy"):
        shutil.copytree(base, fork.folder / base.relative_to(ROOT))
    for dockerfile in ROOT.glob("services/*/Dockerfile"):
        shutil.copy(dockerfile, fork.folder / dockerfile.relative_to(ROOT))
    for release in fork.folder.glob("clusters/*/apps/*/release/kustomization.yaml"):
        lines = release.read_text().splitlines(keepends=True)
        release.write_text(
            "".join("    newTag: unreleased\n" if line.startswith("    digest:") else line for line in lines)
        )
    fork.git("init", "--quiet", "--initial-branch=main")
    for name, value in (("user.name", "t"), ("user.email", "t@t"), ("commit.gpgsign", "false")):
        fork.git("config", name, value)
    fork.commit("Fork")
    return fork


@pytest.fixture
def fork(fresh_fork: Fork) -> Fork:
    """The first release runs everywhere."""
    for environment in STAGES:
        for file in fresh_fork.folder.glob(f"clusters/{environment}/apps/*/release"):
            fresh_fork.write(environment, file.parent.name, "1")
    fresh_fork.commit("First release")
    return fresh_fork
