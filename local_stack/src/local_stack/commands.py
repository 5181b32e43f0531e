"""What can be done to a stack that runs: down, logs, status."""

import contextlib
import sys
import time

from local_stack.log_files import LogFollower
from local_stack.run_folder import RunFolder
from local_stack.services import SERVICES
from local_stack.terminal import readable

_DOWN_SECONDS = 60
_FOLLOW_SECONDS = 0.2
_NOTHING_RUNS = "Fairlead does not run here. Start it with: make up"


def down(folder: RunFolder) -> int:
    """Stop the running stack."""
    if not folder.is_held():
        print(_NOTHING_RUNS)
        return 0
    if not folder.stop_holder(_DOWN_SECONDS):
        print(f"It still runs after {_DOWN_SECONDS} s: process {folder.state().get('pid')}.", file=sys.stderr)
        return 1
    print("Fairlead has stopped.")
    return 0


def logs(folder: RunFolder) -> int:
    """Print all logs and follow them while the stack runs."""
    files = {spec.name: folder.path / "logs" / f"{spec.name}.log" for spec in SERVICES}
    follower = LogFollower(files, from_end=False)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        while True:
            runs = folder.is_held()
            for name, line in follower.new_lines():
                print(readable(name, line), flush=True)
            if not runs:
                print(_NOTHING_RUNS, file=sys.stderr)
                return 0
            time.sleep(_FOLLOW_SECONDS)
    return 0


def status(folder: RunFolder) -> int:
    """Say what runs; exit 1 when nothing does."""
    state = folder.state()
    if not state:
        print(_NOTHING_RUNS)
        return 1
    for name, value in state.items():
        print(f"{name:<10} {value}")
    return 0
