"""A real git client against the real server."""

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_stack.serving import serving
from sandbox.git_http import GitServer

MEGABYTE = 1 << 20


def git(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "HOME": str(cwd or "/"), "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-c", "user.name=A Person", "-c", "user.email=person@example.org", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)


class Served(GitServer):
    """A server that may take this machine for somebody else."""

    strangers = False

    def may_push(self, caller: str) -> bool:
        return not self.strangers and super().may_push(caller)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    assert git("init", "--bare", "--quiet", "--initial-branch=main", tmp_path / "git" / "fairlead.git").returncode == 0
    with serving(Served(("127.0.0.1", 0), tmp_path / "git")) as server:
        yield server


@pytest.fixture
def url(server: Served) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/fairlead.git"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    git("init", "--quiet", "--initial-branch=main", folder)
    (folder / "file").write_text("content")
    git("add", "file", cwd=folder)
    assert git("commit", "--quiet", "-m", "first", cwd=folder).returncode == 0
    return folder


@pytest.mark.requirement("SANDBOX-007")
def test_what_was_pushed_is_fetched(url: str, checkout: Path, tmp_path: Path) -> None:
    assert git("push", url, "main", cwd=checkout).returncode == 0
    commit = git("rev-parse", "HEAD", cwd=checkout).stdout.strip()
    assert git("ls-remote", url).stdout.splitlines() == [f"{commit}\tHEAD", f"{commit}\trefs/heads/main"]
    assert git("clone", "--quiet", url, tmp_path / "clone").returncode == 0
    assert (tmp_path / "clone" / "file").read_text() == "content"


def test_a_push_too_large_for_one_buffer_arrives_whole(url: str, checkout: Path, tmp_path: Path) -> None:
    """Above one megabyte git sends its pack in chunks, whose number it does not say."""
    content = os.urandom(3 * MEGABYTE)
    (checkout / "large").write_bytes(content)
    git("add", "large", cwd=checkout)
    git("commit", "--quiet", "-m", "large", cwd=checkout)
    pushed = git("push", url, "main", cwd=checkout)
    assert pushed.returncode == 0, pushed.stderr
    assert git("clone", "--quiet", url, tmp_path / "clone").returncode == 0
    assert (tmp_path / "clone" / "large").read_bytes() == content


@pytest.mark.requirement("SANDBOX-007")
def test_a_person_who_pushes_reads_what_the_hook_prints_and_why_it_refuses(
    url: str, checkout: Path, tmp_path: Path
) -> None:
    hook = tmp_path / "git" / "fairlead.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'building gateway'\necho 'does not render: port' >&2\nexit 1\n")
    hook.chmod(0o755)
    pushed = git("push", url, "main", cwd=checkout)
    assert pushed.returncode != 0
    assert "remote: building gateway" in pushed.stderr
    assert "remote: does not render: port" in pushed.stderr
    assert git("ls-remote", url).stdout == ""


@pytest.mark.requirement("SANDBOX-007")
def test_a_pod_may_fetch_but_not_push(server: Served, url: str, checkout: Path, tmp_path: Path) -> None:
    assert git("push", url, "main", cwd=checkout).returncode == 0
    server.strangers = True
    (checkout / "file").write_text("other")
    git("commit", "--quiet", "-am", "other", cwd=checkout)
    pushed = git("push", url, "main", cwd=checkout)
    assert pushed.returncode != 0
    assert "403" in pushed.stderr
    assert git("clone", "--quiet", url, tmp_path / "clone").returncode == 0
    assert (tmp_path / "clone" / "file").read_text() == "content"


def test_only_this_machine_may_push(server: Served) -> None:
    assert [server.may_push(caller) for caller in ("127.0.0.1", "10.245.0.2", "192.0.2.7")] == [True, False, False]


def test_a_repository_that_is_not_there_is_said_to_be_missing(server: Served) -> None:
    answer = git("ls-remote", f"http://127.0.0.1:{server.server_address[1]}/other.git")
    assert answer.returncode != 0
    assert "not found" in answer.stderr


@pytest.mark.requirement("EDGE-008")
def test_the_keys_of_the_issuer_are_shown_beside_the_repositories(server: Served, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.server_address[1]}/issuer/jwks.json"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url, timeout=5)
    (tmp_path / "issuer").mkdir()
    (tmp_path / "issuer" / "jwks.json").write_text('{"keys": []}')
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert (answer.headers["content-type"], answer.read()) == ("application/json", b'{"keys": []}')
