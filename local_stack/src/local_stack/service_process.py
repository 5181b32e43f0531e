"""One service as a child process: started, watched, stopped, frozen or killed."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

_POLL_SECONDS = 0.05
_PROBE_TIMEOUT_SECONDS = 3
_TAIL_BYTES = 64 * 1024
_TETHER = Path(__file__).with_name("tether.py")


class ServiceDied(Exception):
    """A service ended, or never became ready; the message holds its last log lines."""


class ServiceProcess:
    """Runs `python -m <name>` in a process group of its own, with its output in a file."""

    def __init__(self, name: str, *, environment: Mapping[str, str], operations_port: int, log: Path) -> None:
        self.name = name
        self.environment = dict(environment)
        self.operations_port = operations_port
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._started().poll()

    @property
    def was_started(self) -> bool:
        """Whether there is, or was, a process."""
        return self._process is not None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def descendants(self) -> list[int]:
        """Return the process ids of its children, their children and so on."""
        found: list[int] = []
        unseen = [self.pid]
        while unseen:
            tasks = Path(f"/proc/{unseen.pop()}/task").glob("*/children")
            below = [int(pid) for children in tasks for pid in children.read_text().split()]
            found += below
            unseen += below
        return found

    def start(self) -> None:
        """Start it; its output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), sys.executable, "-m", self.name],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for the supervisor alone
            )

    def obstacles(self) -> dict[str, str]:
        """Return what keeps it from being ready, by name; empty means ready."""
        connection = http.client.HTTPConnection("127.0.0.1", self.operations_port, timeout=_PROBE_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/readyz")
            answer = orjson.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return {"process": "not listening yet"}
        finally:
            connection.close()
        failures: dict[str, str] = answer.get("failures", {})
        return failures

    def raise_if_dead(self) -> None:
        """Raise ServiceDied when it has ended."""
        if self.exit_code is not None:
            raise ServiceDied(f"{self.name} ended with exit code {self.exit_code}. {self._last_words()}")

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until it is ready; raises ServiceDied when it ends or takes longer."""
        deadline = time.monotonic() + timeout
        while obstacles := self.obstacles():
            self.raise_if_dead()
            if time.monotonic() > deadline:
                why = ", ".join(f"{name}: {reason}" for name, reason in obstacles.items())
                raise ServiceDied(f"{self.name} was not ready after {timeout:g} s ({why}). {self._last_words()}")
            time.sleep(_POLL_SECONDS)

    def terminate(self) -> None:
        """Ask it to drain and end."""
        if self.running:
            self._started().terminate()

    def wait_ended(self, timeout: float) -> int:
        """Wait for its end and return the exit code; what is left after `timeout` is killed."""
        try:
            return self._started().wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._started().wait()
        finally:
            self._signal_group(signal.SIGKILL)  # whatever it left behind

    def stop(self, timeout: float = 15) -> int:
        """Drain, end, and return the exit code."""
        self.terminate()
        return self.wait_ended(timeout)

    def kill(self) -> None:
        """End it and its children at once, as a crash of the machine would."""
        self._signal_group(signal.SIGKILL)
        self._started().wait()

    def freeze(self) -> None:
        """Stop its clock (SIGSTOP): connected, and never answering."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal_group(signal.SIGCONT)

    def restart(self, timeout: float = 60) -> None:
        """Stop it if it runs, start it again on the same ports, and wait until it is ready."""
        if self.running:
            self.stop()
        self.start()
        self.wait_ready(timeout)

    def tail(self, lines: int = 20) -> str:
        """Return its last log lines."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _last_words(self) -> str:
        return f"Its last lines ({self.log}):\n{self.tail()}"

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._started().pid, number)
        except ProcessLookupError:  # the whole group has ended
            return

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServiceDied(f"{self.name} was not started.")
        return self._process
