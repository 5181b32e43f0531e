"""What killed launchers leave in /dev/shm is removed, and nothing else."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inference.shared_memory import SharedMemory

MakeRegion = Callable[[int], Path]


@pytest.fixture
def make_region() -> Iterator[MakeRegion]:
    """Make a region as the Triton of the launcher with this process id would."""
    made: list[Path] = []

    def make(pid: int) -> Path:
        region = Path("/dev/shm") / f"{SharedMemory(pid).prefix}{uuid.uuid4()}"  # noqa: S108 - the place in question
        region.touch()
        made.append(region)
        return region

    yield make
    for region in made:
        region.unlink(missing_ok=True)


@pytest.fixture
def ended_pid() -> int:
    """The id of a process that is no more."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def test_regions_of_launchers_that_are_gone_are_removed(make_region: MakeRegion, ended_pid: int) -> None:
    abandoned, in_use = make_region(ended_pid), make_region(os.getppid())
    SharedMemory(os.getpid()).remove_abandoned()
    assert not abandoned.exists()
    assert in_use.exists()


def test_in_a_container_the_same_process_id_was_an_earlier_launcher(make_region: MakeRegion) -> None:
    region = make_region(os.getpid())
    SharedMemory(os.getpid()).remove_abandoned()
    assert not region.exists()
