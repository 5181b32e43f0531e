"""Rules of this repository that no linter knows."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("gateway", "preprocessing", "inference", "monitoring", "training")
SHARED = {"fairlead", "service_runtime"}
README_LINES = 200
MODULE_LINES = 300

# In parts, so that this file passes its own test.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    )
)
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:root|work|Users|home/[a-z]+)/\w")
# sleep(0) only lets others run.
SLEEP = re.compile(r"(?:time|asyncio)\.sleep\((?!0\))")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z", *patterns],
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text()
        except UnicodeDecodeError:  # pictures and models
            continue


def targets() -> list[str]:
    return re.findall(r"(?m)^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text())


def hand_written_modules() -> list[Path]:
    return [path for path in tracked("*.py") if "proto/src" not in str(path.relative_to(ROOT))]


def imported_packages(path: Path) -> set[str]:
    packages: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            packages.add(node.module.partition(".")[0])
    return packages


@pytest.mark.parametrize("service", [*SERVICES, "service_runtime"])
def test_services_share_contracts_and_runtime_and_nothing_else(service: str) -> None:
    strangers = {*SERVICES, "local_stack", "loadtests"} - {service}
    if service == "service_runtime":
        strangers |= {"fairlead"}
    guilty = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in tracked(f"services/{service}/src/*.py")
        if (found := imported_packages(path) & strangers)
    }
    assert guilty == {}


def test_nothing_names_a_package_registry() -> None:
    assert [(name, host) for name, text in texts() for host in REGISTRY_HOSTS if host in text] == []


def test_nothing_names_a_path_of_one_machine() -> None:
    assert [(name, found.group()) for name, text in texts() if (found := MACHINE_PATH.search(text))] == []


def test_no_test_waits_by_the_clock() -> None:
    """A fake may be slow; a test waits for what it expects, with local_stack.eventually."""
    sleeps = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in tracked("*.py")
        if "tests" in path.relative_to(ROOT).parts[:-1]
        for line in lines_that_sleep(ast.parse(path.read_text()))
    ]
    assert sleeps == []


def lines_that_sleep(tree: ast.Module) -> Iterator[int]:
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not function.name.startswith("test_"):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and SLEEP.match(ast.unparse(node)):
                yield node.lineno


def test_no_module_is_too_long_to_read_at_once() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in hand_written_modules()
        if "tests" not in path.parts and (lines := len(path.read_text().splitlines())) > MODULE_LINES
    }
    assert long == {}


def test_the_readme_fits_in_two_hundred_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_links_between_documents_lead_somewhere() -> None:
    link = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
    dead = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in tracked("*.md")
        for target in link.findall(path.read_text())
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ]
    assert dead == []


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in tracked("docs/adr/*.md")]
    assert len(numbers) == len(set(numbers))


def test_every_decision_that_is_named_exists() -> None:
    named = {(name, found) for name, text in texts() for found in re.findall(r"adr/([0-9]{4}[\w.-]*\w)", text)}
    assert {(name, found) for name, found in named if not (ROOT / "docs" / "adr" / found).exists()} == set()


def test_requirements_are_pinned_by_hash_and_name_no_index() -> None:
    for path in tracked("requirements/*.txt"):
        text = path.read_text()
        assert "index-url" not in text, path.name
        pins = re.findall(r"^([a-z0-9._-]+(?:\[[^\]]+\])?)==", text, flags=re.MULTILINE | re.IGNORECASE)
        assert pins, path.name
        assert len(re.findall(r"--hash=sha256:", text)) >= len(pins), path.name


def test_every_direct_dependency_is_locked() -> None:
    """A dependency that was added without make lock fails here, without any network."""
    locked = {
        name.lower().replace("_", "-")
        for name in re.findall(
            r"^([A-Za-z0-9._-]+)(?:\[[^\]]+\])?==", (ROOT / "requirements" / "all.txt").read_text(), re.MULTILINE
        )
    }
    members = {"fairlead", "service-runtime", "local-stack", "sandbox", "loadtests"}
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked("pyproject.toml", "*/pyproject.toml", "services/*/pyproject.toml")
        for name in direct_dependencies(path)
        if name not in locked | members
    }
    assert missing == set()


def direct_dependencies(path: Path) -> Iterator[str]:
    content = tomllib.loads(path.read_text())
    groups = content.get("dependency-groups", {}).values()
    for requirement in [*content["project"].get("dependencies", []), *(each for group in groups for each in group)]:
        yield re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")


@pytest.mark.requirement("REPO-004")
@pytest.mark.parametrize("target", targets())
def test_a_target_installs_the_packages_that_it_runs(tmp_path: Path, target: str) -> None:
    for name in ("Makefile", *(str(each.relative_to(ROOT)) for each in tracked("**/pyproject.toml", "requirements"))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    told = subprocess.run(
        ["make", "--dry-run", target], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    for package in re.findall(r"bin/python -m (\w+)", told):
        assert re.search(rf"-e (services/)?{package}( |$)", told, re.MULTILINE), f"make {target} lacks {package}"


@pytest.mark.requirement("REPO-004")
@pytest.mark.parametrize("path", tracked(".github/workflows/*.yaml"), ids=lambda path: path.stem)
def test_a_job_that_runs_a_package_of_ours_sets_up_first(path: Path) -> None:
    for name, job in yaml.safe_load(path.read_text())["jobs"].items():
        commands = [step.get("run", "") for step in job.get("steps", [])]
        runs = [at for at, command in enumerate(commands) if ".venv/bin/python -m" in command]
        assert not runs or "make setup" in commands[: runs[0]], f"{path.name}: {name}"
