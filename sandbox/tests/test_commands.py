"""Programs that are run for a person end when the person does not wait any longer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local_stack.eventually import eventually
from sandbox.commands import CommandFailed, output_of, stream

pytestmark = pytest.mark.component

RUN_LONG = """
from sandbox.commands import stream
stream(["sh", "-c", "echo $$; exec sleep 600"], on_line=lambda line: print(line, flush=True))
"""


def ended(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split()[2] == "Z"


@pytest.mark.requirement("SANDBOX-003")
@pytest.mark.parametrize("reason", [signal.SIGINT, signal.SIGKILL])
def test_a_long_program_ends_with_the_command_that_runs_it(reason: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN_LONG], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        runner.send_signal(reason)
        runner.wait(10)
    eventually(lambda: ended(pid))


def test_a_program_that_ends_its_whole_group_does_not_end_us() -> None:
    with pytest.raises(CommandFailed, match="full"):
        stream(["sh", "-c", "echo the disk is full; kill -HUP 0"], on_line=lambda _: None)


def test_a_failure_shows_the_last_lines_that_were_printed() -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3:\n    first\n    second") as failure:
        output_of(["sh", "-c", "echo first; echo second >&2; exit 3"])
    assert failure.value.code == 3


def test_a_program_that_never_answers_is_given_up() -> None:
    with pytest.raises(CommandFailed, match="no answer within 0 s"):
        output_of(["sleep", "600"], timeout_s=0.05)


def test_every_line_is_handed_over_as_it_is_printed() -> None:
    lines: list[str] = []
    stream(["printf", "one\\ntwo\\n"], env={"PATH": os.defpath}, on_line=lines.append)
    assert lines == ["one", "two"]
