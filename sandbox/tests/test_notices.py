"""Notices to the git server: answered at once, bounded, and handled one after another."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_stack.eventually import eventually
from local_stack.serving import serving
from sandbox.git_http import GitServer
from sandbox.notices import LARGEST, Notices

PATH = "/fairlead.git/notices/rollout-aborted"


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A hook that keeps each notice in a file of its own and, while there is a file `hold`, does not end."""
    hook = tmp_path / "fairlead.git" / "hooks" / "notice-rollout-aborted"
    hook.parent.mkdir(parents=True)
    hook.write_text(
        f"""#!/bin/sh
cd {tmp_path}
cat > "begun-$$"
while [ -e hold ]; do sleep 0.02; done
mv "begun-$$" "done-$$"
"""
    )
    hook.chmod(0o755)
    return hook


@pytest.fixture
def server(tmp_path: Path, hook: Path) -> Iterator[GitServer]:
    with serving(GitServer(("127.0.0.1", 0), tmp_path)) as server:
        yield server


def post(server: GitServer, body: bytes, path: str = PATH, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def handled(folder: Path, state: str = "done") -> list[bytes]:
    return sorted(each.read_bytes() for each in folder.glob(f"{state}-*"))


@pytest.mark.requirement("SANDBOX-009")
def test_a_notice_is_answered_before_its_hook_has_ended(server: GitServer, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    assert post(server, b"first") == 202
    eventually(lambda: handled(tmp_path, "begun") == [b"first"], within=5)
    assert handled(tmp_path) == []
    (tmp_path / "hold").unlink()
    eventually(lambda: handled(tmp_path) == [b"first"], within=5)


@pytest.mark.requirement("SANDBOX-009")
def test_the_same_notice_waits_once_and_too_many_are_refused(tmp_path: Path, hook: Path) -> None:
    (tmp_path / "hold").touch()
    notices = Notices(tmp_path, waiting=2)
    assert notices.take(PATH, b"running")
    eventually(lambda: handled(tmp_path, "begun") == [b"running"], within=5)
    taken = [notices.take(PATH, body) for body in (b"a", b"a", b"b", b"c")]
    assert taken == [True, True, True, False]
    (tmp_path / "hold").unlink()
    eventually(lambda: handled(tmp_path) == [b"a", b"b", b"running"], within=5)
    notices.close()


@pytest.mark.requirement("SANDBOX-009")
@pytest.mark.parametrize(
    "path",
    [
        "/fairlead.git/notices/other",
        "/other.git/notices/rollout-aborted",
        "/fairlead.git/notices/../hooks/notice-rollout-aborted",
        "/../fairlead.git/notices/rollout-aborted",
    ],
)
def test_a_notice_that_no_hook_wants_is_refused(server: GitServer, tmp_path: Path, path: str) -> None:
    assert post(server, b"any", path) >= 400
    assert handled(tmp_path) == []


@pytest.mark.requirement("SANDBOX-009")
def test_a_notice_that_is_too_large_or_of_unknown_size_is_refused(server: GitServer, tmp_path: Path) -> None:
    assert post(server, b"x" * LARGEST) == 202
    assert post(server, b"", **{"Content-Length": str(LARGEST + 1)}) == 413
    assert post(server, b"", **{"Transfer-Encoding": "chunked", "Content-Length": ""}) == 413
    eventually(lambda: handled(tmp_path) == [b"x" * LARGEST], within=5)


def test_a_hook_that_cannot_run_keeps_no_other_from_running(tmp_path: Path, hook: Path) -> None:
    (hook.parent / "notice-broken").write_text("no program")
    notices = Notices(tmp_path)
    assert notices.take("/fairlead.git/notices/broken", b"")
    assert notices.take(PATH, b"next")
    eventually(lambda: handled(tmp_path) == [b"next"], within=5)
    notices.close()
