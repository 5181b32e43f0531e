"""Check the workflows with actionlint: python -m delivery.workflows [FILE ...]."""

import argparse
import subprocess
import sys
from pathlib import Path

from delivery.findings import CannotCheck
from delivery.programs import Program, Toolbox

ACTIONLINT = Program("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12")
# Only what is pinned here judges: neither may a program decide that happens to be on one machine.
_ALONE = ("-shellcheck=", "-pyflakes=", "-no-color")
_CANNOT = 2


def main() -> int:
    """Print what is wrong with the workflows; 1 when something is, 2 when the check could not run."""
    parser = argparse.ArgumentParser(prog="python -m delivery.workflows", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="default: all of this folder's repository")
    files = parser.parse_args().files
    try:
        command = [Toolbox().program(ACTIONLINT), *_ALONE, *files]
    except CannotCheck as error:
        print(error, file=sys.stderr)
        return _CANNOT
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
