"""The folder .fairlead: logs, data, and a lock that says whether a stack runs."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

_POLL_SECONDS = 0.1


class AlreadyRunning(Exception):
    """A stack of this checkout runs; the message says how to reach and stop it."""


class RunFolder:
    """Where one checkout's stack keeps its state. The lock dies with its holder, so it is never stale."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path / "lock"
        self._state = path / "stack.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder; raises AlreadyRunning."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                url = self.state().get("url", "starting")
                raise AlreadyRunning(f"Fairlead already runs here ({url}). Stop it with: make down") from None
            try:
                self._save({"pid": os.getpid()})
                yield
            finally:
                self._state.unlink(missing_ok=True)

    def announce(self, **facts: object) -> None:
        """Tell other commands about the running stack."""
        self._save({"pid": os.getpid(), **facts})

    def state(self) -> dict[str, object]:
        """Return what the running stack announced; empty when none runs."""
        if not self.is_held():
            return {}
        try:
            state: dict[str, object] = orjson.loads(self._state.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):  # between lock and first announcement
            return {}
        return state

    def is_held(self) -> bool:
        """Whether a stack runs."""
        if not self._lock.exists():
            return False
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def stop_holder(self, timeout: float) -> bool:
        """Ask the running stack to stop and wait for it; False when it still runs."""
        pid = self.state().get("pid")
        if isinstance(pid, int):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while self.is_held():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _save(self, facts: dict[str, object]) -> None:
        scratch = self._state.with_suffix(".tmp")
        scratch.write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        scratch.replace(self._state)
