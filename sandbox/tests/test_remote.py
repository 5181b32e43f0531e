"""git push sandbox HEAD:main works in the checkout that started the sandbox, whatever kind of clone it is."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox.git_service import GitService
from sandbox.remote import forget_remote, name_remote
from sandbox.settings import SandboxSettings

START = """
import sys
from pathlib import Path
from sandbox.git_service import GitService
from sandbox.settings import SandboxSettings

GitService(SandboxSettings(state=Path(sys.argv[1]), git_port=int(sys.argv[2])), "127.0.0.1").start()
"""
URL = "http://10.245.0.1:3000/fairlead.git"


def git(folder: Path, *arguments: str) -> str:
    environment = {"PATH": os.defpath, "HOME": str(folder), "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-c", "user.name=A Person", "-c", "user.email=person@example.org", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    for text in ("first", "second"):
        (folder / "file").write_text(text)
        git(folder, "add", "file")
        git(folder, "commit", "--quiet", "--message", text)
    return folder


@pytest.fixture
def service(tmp_path: Path) -> Iterator[GitService]:
    """A server that outlives the command that started it, as make cluster's does."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    service = GitService(SandboxSettings(state=tmp_path / "state", git_port=port), "127.0.0.1")
    service.settings.logs.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", START, str(service.settings.state), str(port)], check=True, timeout=60)
    yield service
    service.stop()


@pytest.mark.requirement("SANDBOX-008")
def test_the_remote_is_named_once_and_follows_the_server(checkout: Path) -> None:
    for url in (URL, URL, URL.replace("3000", "3100")):
        assert name_remote(checkout, url) == "git push sandbox HEAD:main"
        assert git(checkout, "remote", "get-url", "sandbox") == url
    forget_remote(checkout)
    forget_remote(checkout)
    assert git(checkout, "remote") == ""


@pytest.mark.requirement("SANDBOX-008")
def test_a_remote_of_somebody_else_is_left_alone(checkout: Path) -> None:
    git(checkout, "remote", "add", "sandbox", "git@example.org:team/sandbox.git")
    said = name_remote(checkout, URL)
    forget_remote(checkout)
    assert said.startswith(f"git push {URL} HEAD:main  ")
    assert git(checkout, "remote", "get-url", "sandbox") == "git@example.org:team/sandbox.git"


def test_without_a_checkout_the_address_is_said(tmp_path: Path) -> None:
    assert name_remote(tmp_path, URL).startswith(f"git push {URL} HEAD:main  ")
    forget_remote(tmp_path)


@pytest.mark.component
@pytest.mark.requirement("SANDBOX-008")
def test_a_shallow_clone_with_a_detached_head_can_be_pushed(
    service: GitService, checkout: Path, tmp_path: Path
) -> None:
    """What a machine that runs CI checks out."""
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{checkout}", "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "--quiet", "--detach")
    name_remote(clone, service.url)
    # Without a branch git cannot guess what kind of name main is on a server that has none yet.
    git(clone, "push", "sandbox", "HEAD:refs/heads/main")
    assert git(clone, "ls-remote", "sandbox", "main").split()[0] == git(checkout, "rev-parse", "HEAD")
    git(tmp_path, "clone", "--quiet", service.url, "fetched")
    assert (tmp_path / "fetched" / "file").read_text() == "second"
