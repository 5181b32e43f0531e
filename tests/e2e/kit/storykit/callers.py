"""A steady Locust load, and which of its requests were lost."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.recording import OK, Observation, judged, read
from local_stack.eventually import eventually

from storykit.cluster import Cluster

PROFILE = Path(__file__).parents[2] / "callers.yaml"
_ENOUGH = 50
_END_S = 60.0
_CALLERS = 64
"""More than ask at a time: each has a quota of its own."""


@dataclass(frozen=True, slots=True)
class Callers:
    """Callers of every kind who ask all the time."""

    recording: Path

    def sent(self) -> list[Observation]:
        """Return what was answered or lost so far; complete once the callers are gone."""
        return judged(read(self.recording)) if self.recording.exists() else []

    def lost(self) -> list[Observation]:
        """Return what got no right answer, refusals included."""
        return [seen for seen in self.sent() if seen.outcome != OK]


@contextmanager
def calling(cluster: Cluster, recording: Path, profile: Path = PROFILE) -> Iterator[Callers]:
    """Load the door from the beginning to the end of a block, which begins when answers flow."""
    command = [sys.executable, "-m", "loadtests.generator", f"--profile={profile}", f"--recording={recording}"]
    tokens = recording.with_suffix(".tokens")
    tokens.write_text("\n".join(cluster.token(subject=f"caller-{number}") for number in range(_CALLERS)))
    command += [f"--host={cluster.rest}", f"--grpc={cluster.grpc}", f"--ca={cluster.ca}", f"--tokens={tokens}"]
    with subprocess.Popen(command) as process:
        try:
            callers = Callers(recording)
            eventually(lambda: len(callers.sent()) >= _ENOUGH or process.poll() is not None, within=_END_S, every=1.0)
            assert process.poll() is None, f"Locust ended with {process.returncode}"
            yield callers
            process.send_signal(signal.SIGTERM)
            assert process.wait(_END_S) == 0, "Locust did not end well"
        finally:
            process.kill()
