"""What decides an image."""

import subprocess
from pathlib import Path

import pytest
from delivery.images.buildah import Buildah, with_arguments
from delivery.images.inputs import Inputs, copied

DOCKERFILE = """FROM base AS build
COPY requirements/door.txt requirements/
COPY services/door/src services/door/src
FROM base
COPY --from=build /opt /opt
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in {
        "services/door/Dockerfile": DOCKERFILE,
        "services/door/src/door/app.py": "one = 1\n",
        "services/door/README.md": "A door.\n",
        "requirements/door.txt": "hinge==1\n",
        ".gitignore": "*.pyc\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path, "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.mark.requirement("IMAGES-006")
def test_inputs_are_the_dockerfile_and_what_it_copies_from_its_context(checkout: Path) -> None:
    assert copied(checkout / "services/door/Dockerfile") == ["requirements/door.txt", "services/door/src"]
    names = [str(file) for file in Inputs.of(checkout, "door").files]
    assert names == ["requirements/door.txt", "services/door/Dockerfile", "services/door/src/door/app.py"]


@pytest.mark.requirement("IMAGES-006")
def test_the_digest_follows_content_names_and_modes_of_inputs_alone(checkout: Path) -> None:
    digests = [Inputs.of(checkout, "door").digest]
    app = checkout / "services/door/src/door/app.py"
    (checkout / "services/door/README.md").write_text("Another word.\n")
    app.with_suffix(".pyc").write_bytes(b"ignored by git")
    assert Inputs.of(checkout, "door").digest == digests[0]
    for change in (
        lambda: app.write_text("one = 2\n"),
        lambda: app.chmod(0o755),
        lambda: app.rename(app.with_name("other.py")),
        lambda: (checkout / "services/door/src/new.py").write_text(""),
    ):
        change()
        digests.append(Inputs.of(checkout, "door").digest)
    assert len(set(digests)) == len(digests)


@pytest.mark.requirement("IMAGES-006")
def test_the_revision_is_the_last_commit_that_changed_an_input(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    (checkout / "services/door/README.md").write_text("Another word.\n")
    commit(checkout, "second")
    assert Inputs.of(checkout, "door").revision == first
    (checkout / "requirements/door.txt").write_text("hinge==2\n")
    assert Inputs.of(checkout, "door").revision == f"{first}-dirty"
    assert Inputs.of(checkout, "door").revision == f"{first}-dirty"
    third = commit(checkout, "third")
    assert Inputs.of(checkout, "door").revision == third


@pytest.mark.requirement("IMAGES-006")
def test_the_context_holds_the_inputs_with_modes_that_no_umask_decided(checkout: Path, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir(mode=0o700)
    (checkout / "services/door/src/door/app.py").chmod(0o600)
    Inputs.of(checkout, "door").write(context)
    held = {str(path.relative_to(context)): path.stat().st_mode & 0o777 for path in context.rglob("*")}
    assert {name: mode for name, mode in held.items() if "." in name or name.endswith("Dockerfile")} == {
        "requirements/door.txt": 0o644,
        "services/door/Dockerfile": 0o644,
        "services/door/src/door/app.py": 0o644,
    }
    assert {mode for name, mode in held.items() if (context / name).is_dir()} == {0o755}


@pytest.mark.requirement("IMAGES-003")
def test_arguments_are_written_out_where_they_are_used() -> None:
    text = 'ARG BASE=python:3\nFROM ${BASE}\nARG REVISION=unknown\nLABEL revision="$REVISION" other="$REVISIONS"\n'
    assert with_arguments(text, {"BASE": "here:1", "REVISION": "abc"}) == (
        'ARG BASE=python:3\nFROM here:1\nARG REVISION=unknown\nLABEL revision="abc" other="$REVISIONS"\n'
    )


@pytest.mark.requirement("IMAGES-005")
def test_each_version_of_buildah_keeps_layers_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take a layer that another version made from its cache, and two machines would not agree."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "buildah"

    def recipe(version: str) -> str:
        program.write_text(f"#!/bin/sh\necho buildah version {version}\n")
        program.chmod(0o755)
        return Buildah(tmp_path).recipe

    assert recipe("1.28.2") == recipe("1.28.2") != recipe("1.33.7")
