"""What a machine lacks is said together with what to type."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox.checks import Finding
from sandbox.git_service import port_is_free
from sandbox.problem import Problem
from sandbox.settings import SandboxSettings

from sandbox import checks


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        yield listener.getsockname()[1]


def finding(settings: SandboxSettings, subject: str) -> Finding:
    return next(each for each in checks.machine(settings, running=False) if each.subject == subject)


@pytest.mark.requirement("SANDBOX-005")
def test_a_taken_port_is_named_with_its_holder_and_a_way_out(taken_port: int) -> None:
    found = checks.port(taken_port)
    assert str(os.getpid()) in found.wrong
    assert found.remedy == f"SANDBOX_GIT_PORT={taken_port + 100} make cluster"


def test_a_port_is_free_before_the_address_exists(taken_port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
    assert port_is_free(free)
    assert not port_is_free(taken_port)


@pytest.mark.requirement("SANDBOX-005")
def test_a_disk_without_room_is_named_with_the_setting_that_moves_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 30))
    found = finding(SandboxSettings(state=tmp_path / "state", cache=tmp_path), "disk for state")
    assert "1.0 GB are free" in found.wrong
    assert "SANDBOX_STATE" in found.remedy


@pytest.mark.requirement("SANDBOX-005")
def test_everything_that_is_wrong_is_said_at_once() -> None:
    findings = [
        Finding("git"),
        Finding("go", "Go is not installed.", "Install Go."),
        Finding("root", "Not root.", "sudo"),
    ]
    with pytest.raises(Problem, match=r"(?s)Go is not installed\..*Install Go\..*Not root\..*sudo"):
        checks.refuse(iter(findings))


@pytest.mark.component
@pytest.mark.requirement("SANDBOX-005")
def test_somebody_who_is_not_root_is_told_to_become_root(tmp_path: Path) -> None:
    # In a user namespace of its own a process keeps its rights to files and is nobody otherwise.
    as_nobody = ["unshare", "--user"] if os.geteuid() == 0 else []
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SANDBOX_STATE": str(tmp_path / "state")}  # noqa: TID251
    command = [*as_nobody, sys.executable, "-m", "sandbox", "up"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 1
    assert "only root may make" in refused.stderr
    assert "sudo -E make cluster" in refused.stderr
    assert not (tmp_path / "state").exists()
