"""make up as a person meets it: the real commands, the real services, a real Triton."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_stack.eventually import eventually
from local_stack.settings import release_pins

# Clear of a stack that the developer runs, of the other tests' stacks, and of another run of these tests.
OFFSET = 10_000 + os.getpid() % 12 * 5
URL = f"http://127.0.0.1:{8080 + OFFSET}"
SERVICES = ("gateway", "preprocessing", "inference", "monitoring")

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("make up"), pytest.mark.timeout(240)]


@dataclass(frozen=True, slots=True)
class Checkout:
    folder: Path

    def command(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "FAIRLEAD_PORT_OFFSET": str(OFFSET), "FAIRLEAD_RUN_FOLDER": str(self.folder)}  # noqa: TID251
        return subprocess.Popen(
            [sys.executable, "-m", "local_stack", *arguments],
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        process = self.command(*arguments, **variables)
        output, _ = process.communicate(timeout=180)
        return process.returncode, output


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / ".fairlead")
    yield made
    made.run("down")


def services_of(supervisor: int) -> dict[str, int]:
    """Return the pids of the services under a supervisor, and of what they started."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return {Path(f"/proc/{pid}/cmdline").read_text().split("\0")[2]: int(pid) for pid in children}


def everything_below(pid: int) -> set[int]:
    children = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return children.union(*map(everything_below, children))


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    seen = ""
    while text not in seen:
        line = process.stdout.readline()
        assert line, f"it ended before it printed {text!r}:\n{seen}"
        seen += line
    return seen


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.requirement("STACK-001", "STACK-002", "STACK-006", "STACK-007")
def test_detached_it_answers_a_picture_can_be_looked_at_and_stops(checkout: Checkout) -> None:
    code, output = checkout.run("up", "--detach")
    assert code == 0, output
    assert "REST answered '7'" in output
    assert "gRPC answered '7'" in output
    assert "monitoring has recorded both" in output
    assert release_pins()["INFERENCE_PINS"].removeprefix("digits@") in output
    assert f"{URL}/" in output

    code, output = checkout.run("status")
    assert code == 0
    supervisor = int(next(line.split()[1] for line in output.splitlines() if line.startswith("pid")))
    below = everything_below(supervisor)
    assert set(services_of(supervisor)) == set(SERVICES)
    assert len(below) > len(SERVICES), "Triton is a process of its own"

    for again in (["up"], ["up", "--detach"]):
        code, output = checkout.run(*again)
        assert code == 1
        assert f"already runs here ({URL}). Stop it with: make down" in output

    assert checkout.run("down") == (0, "Fairlead has stopped.\n")
    eventually(lambda: gone(below))
    code, logs = checkout.run("logs")
    assert code == 0
    assert all(f"{name:<13}|" in logs for name in SERVICES)


@pytest.mark.requirement("STACK-002")
def test_ctrl_c_stops_everything(checkout: Checkout) -> None:
    process = checkout.command("up")
    read_until(process, "Stop: Ctrl-C")
    below = everything_below(process.pid)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "All services have stopped." in output
    eventually(lambda: gone(below))


@pytest.mark.requirement("STACK-004")
def test_a_service_that_dies_ends_the_stack_and_is_named(checkout: Checkout) -> None:
    process = checkout.command("up")
    read_until(process, "Stop: Ctrl-C")
    below = everything_below(process.pid)
    os.kill(services_of(process.pid)["preprocessing"], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "preprocessing ended with exit code -9. Its last lines" in output
    eventually(lambda: gone(below))
