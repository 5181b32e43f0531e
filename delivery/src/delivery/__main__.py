"""Check the manifests of a checkout: python -m delivery check [FOLDER]."""

import argparse
import sys
from pathlib import Path

from delivery.check import check
from delivery.findings import CannotCheck
from delivery.programs import Toolbox

_ROOT = Path(__file__).resolve().parents[3]
_CANNOT = 2


def main() -> int:
    """Print every finding; 1 when there are some, 2 when the check could not run."""
    parser = argparse.ArgumentParser(prog="python -m delivery", description=__doc__)
    parser.add_argument("command", choices=["check"])
    parser.add_argument("folder", nargs="?", type=Path, default=_ROOT, help="the checkout; default: this one")
    folder = parser.parse_args().folder.resolve()
    # The settings that a checkout's manifests must agree with are its own.
    sys.path[:0] = [str(source) for source in folder.glob("services/*/src")]
    try:
        findings = check(folder, Toolbox())
    except CannotCheck as error:
        print(error, file=sys.stderr)
        return _CANNOT
    for finding in sorted(set(findings)):
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
