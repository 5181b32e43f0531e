"""Triton as a child process: started in a group of its own, logged, watched, stopped."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import structlog

from inference.shared_memory import SharedMemory
from inference.triton_log import Severity, read_line

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_LINE_LIMIT = 256 * 1024
_LAST_ERRORS = 3
_libc = ctypes.CDLL(None)


class TritonProcess:
    """Runs Triton while entered; leaving stops it and everything it started."""

    def __init__(
        self, command: Sequence[str | Path], *, variables: Mapping[str, str], grace: float, shared_memory: SharedMemory
    ) -> None:
        self._command = [str(part) for part in command]
        # Triton, CUDA and the loader read variables of their own; only what we set on top is ours.
        self._variables = {**os.environ, **variables}  # noqa: TID251
        self._grace = grace
        self._shared_memory = shared_memory
        self._errors: deque[str] = deque(maxlen=_LAST_ERRORS)
        self._process: asyncio.subprocess.Process
        self._logging: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        """Start Triton."""
        self._shared_memory.remove_abandoned()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_LIMIT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self._logging = asyncio.create_task(self._forward_log())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Ask Triton to stop, wait the grace, then kill its whole group."""
        if self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._grace):
                    await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._logging
        self._shared_memory.remove()
        log.info("triton.stopped", exit_code=self._process.returncode)

    async def ended(self) -> str:
        """Wait until Triton is gone; return how it ended and what it said last."""
        code = await self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        await asyncio.wait({self._logging}, timeout=1)  # an orphaned stub may hold the pipe open
        return ". ".join([f"Triton {how}", *self._errors])

    async def _forward_log(self) -> None:
        async for line in self._lines():
            entry = read_line(line.decode(errors="replace").rstrip())
            if entry.severity >= Severity.ERROR:
                self._errors.append(entry.text)
            if entry.text:
                log.log(entry.severity, "triton.logged", text=entry.text)

    async def _lines(self) -> AsyncIterator[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - asked for as a pipe
        while not self._process.stdout.at_eof():
            # A line over the limit is dropped; to stop reading would stop Triton once the pipe is full.
            with contextlib.suppress(ValueError):
                yield await self._process.stdout.readline()


def _die_with_parent() -> None:
    """Have the kernel end Triton when this process is gone, even by SIGKILL."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
