"""What the supervisor does to one process, shown on a real one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from local_stack.eventually import eventually
from local_stack.service_process import ServiceDied, ServiceProcess

StartTiny = Callable[..., ServiceProcess]


def child_of(service: ServiceProcess) -> int:
    line = next(line for line in service.tail().splitlines() if line.startswith("child"))
    return int(line.split()[1])


def state_of(pid: int) -> str:
    """Return the letter that ps shows: R, S, T, Z; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    return state_of(pid) not in {"", "Z"}


def test_a_service_is_ready_once_its_readyz_says_so(tiny: StartTiny) -> None:
    service = tiny()
    service.wait_ready(timeout=5)
    assert service.running


@pytest.mark.requirement("STACK-004")
def test_a_service_that_ends_is_reported_with_its_last_lines(tiny: StartTiny) -> None:
    with pytest.raises(ServiceDied, match=r"tiny ended with exit code 1(?s:.*)is the port taken\?"):
        tiny(TINY_DIES="1").wait_ready(timeout=5)


@pytest.mark.requirement("STACK-004")
def test_a_service_that_never_gets_ready_is_reported_with_what_it_waits_for(tiny: StartTiny) -> None:
    service = tiny(TINY_NEVER_READY="1")
    eventually(lambda: service.obstacles() == {"model": "still loading"})
    with pytest.raises(ServiceDied, match="model: still loading"):
        service.wait_ready(timeout=0)


def test_stop_drains_and_leaves_no_children(tiny: StartTiny) -> None:
    service = tiny()
    service.wait_ready(timeout=5)
    child = child_of(service)
    assert service.stop() == 0
    assert "drained" in service.tail()
    eventually(lambda: not is_alive(child))


def test_a_service_that_ignores_sigterm_is_killed_after_the_grace(tiny: StartTiny) -> None:
    service = tiny(TINY_STUBBORN="1")
    service.wait_ready(timeout=5)
    assert service.stop(timeout=0.2) == -signal.SIGKILL


def test_a_frozen_service_does_not_answer_until_it_is_thawed(tiny: StartTiny) -> None:
    service = tiny()
    service.wait_ready(timeout=5)
    service.freeze()
    eventually(lambda: state_of(service.pid) == "T")
    service.thaw()
    service.wait_ready(timeout=5)


def test_restart_after_a_crash_comes_back_on_the_same_port(tiny: StartTiny) -> None:
    service = tiny()
    service.wait_ready(timeout=5)
    first = service.pid
    service.kill()
    service.restart(timeout=5)
    assert service.pid != first
    assert not service.obstacles()


@pytest.mark.requirement("STACK-003")
def test_a_killed_supervisor_leaves_no_service_behind(tiny: StartTiny, tmp_path: Path) -> None:
    template = tiny()
    template.kill()
    (tmp_path / "supervisor.py").write_text(
        "import os, signal\n"
        "from pathlib import Path\n"
        "from local_stack.service_process import ServiceProcess\n"
        f"service = ServiceProcess('tiny', environment=dict(os.environ), operations_port={template.operations_port},"
        f" log=Path({str(tmp_path / 'orphan.log')!r}))\n"
        "service.start()\n"
        "service.wait_ready(5)\n"
        "print(service.pid, flush=True)\n"
        "signal.pause()\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, str(tmp_path / "supervisor.py")], env=template.environment, stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    with supervisor.stdout as announced:
        orphan = int(announced.readline())
    assert is_alive(orphan)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    eventually(lambda: not is_alive(orphan))
