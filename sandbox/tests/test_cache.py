"""What is built once is kept whole, under the name of what it was built from."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox.cache import Cache, digest_of

BUILD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from sandbox.cache import Cache

def die(made):
    made.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

Cache(Path(sys.argv[1])).make(Path(sys.argv[2]), die)
"""

BUILD_WHEN_TOLD = """
import sys
from pathlib import Path
from sandbox.cache import Cache

def build(made):
    made.write_text("half")
    print("building", flush=True)
    sys.stdin.read()
    made.write_text("whole")

Cache(Path(sys.argv[1])).make(Path(sys.argv[2]), build)
"""


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    cache, built = Cache(tmp_path), []

    def build(made: Path) -> None:
        built.append(made)
        made.write_text("program")

    entry = cache.path("binaries", "kubelet", inputs=["v1.35"])
    assert [cache.make(entry, build).read_text() for _ in range(2)] == ["program", "program"]
    assert len(built) == 1


def test_other_inputs_are_another_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.path("binaries", "kubelet", inputs=["v1.35"]) != cache.path("binaries", "kubelet", inputs=["v1.36"])


def test_where_one_input_ends_is_part_of_the_digest() -> None:
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(made: Path) -> None:
        made.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        cache.make(cache.path("binaries", "kubelet", inputs=[]), fail)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.component
@pytest.mark.requirement("SANDBOX-003")
def test_a_build_that_is_killed_is_no_entry_and_is_swept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    entry = cache.path("binaries", "kubelet", inputs=[])
    killed = subprocess.run([sys.executable, "-c", BUILD_AND_DIE, str(tmp_path), str(entry)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not entry.exists()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["entry"]
    cache.sweep()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.component
@pytest.mark.requirement("SANDBOX-003")
def test_what_another_command_is_making_is_not_swept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    entry = cache.path("binaries", "kubelet", inputs=[])
    command = [sys.executable, "-c", BUILD_WHEN_TOLD, str(tmp_path), str(entry)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "building\n"
        cache.sweep()
        other.communicate(timeout=60)
    assert other.returncode == 0
    assert entry.read_text() == "whole"


def write_file(made: Path) -> None:
    made.write_text("content")


def write_folder(made: Path) -> None:
    made.mkdir()
    (made / "file").write_text("content")


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_two_commands_that_make_the_same_entry_both_get_it(tmp_path: Path, write: Callable[[Path], None]) -> None:
    cache = Cache(tmp_path)
    entry = cache.path("debian", "node-folder", inputs=[])

    def build(made: Path) -> None:
        cache.make(entry, write)
        write(made)

    assert cache.make(entry, build) == entry
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["content"]
