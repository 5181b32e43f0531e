"""Run programs: their output goes to a log, and its end into the error when one fails."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sandbox.problem import Problem

_SHOWN_LINES = 15


class CommandFailed(Problem):
    """A program ended with an error."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        shown = "\n".join(f"    {line}" for line in output.splitlines()[-_SHOWN_LINES:])
        super().__init__(f"{' '.join(command[:6])} ended with {code}:\n{shown}", "")
        self.output = output
        self.code = code


def output_of(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
    timeout_s: float = 120,
) -> str:
    """Return what a short command printed; raise CommandFailed when it fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, input=text, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(command, -1, f"no answer within {timeout_s:.0f} s") from late
    if done.returncode != 0:
        raise CommandFailed(command, done.returncode, done.stdout + done.stderr)
    return done.stdout


def succeeds(command: Sequence[str], *, timeout_s: float = 60) -> bool:
    """Say whether a command ends well, whatever it prints."""
    try:
        return (
            subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout_s
            ).returncode
            == 0
        )
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return False


def stream(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None],
) -> None:
    """Run a long command, hand over each line it prints; raise CommandFailed with the last ones."""
    last: deque[str] = deque(maxlen=200)
    # In a group of its own: mmdebstrap, when it fails, ends its whole group, and an interrupt must end compilers too.
    # The kernel ends it when we are killed.
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        try:
            for line in process.stdout or ():
                last.append(line)
                on_line(line.rstrip("\n"))
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise CommandFailed(command, process.returncode, "".join(last))
