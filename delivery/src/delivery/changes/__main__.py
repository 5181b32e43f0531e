"""What a change does to the environments: python -m delivery.changes diff|gate --base REF.

diff ends with 0; with --exit-code, 1 says that something differs. gate: 1 when it refuses. 2: cannot tell.
"""

import argparse
import sys
from pathlib import Path

from sandbox.problem import Problem
from sandbox.progress import Progress

from delivery.changes.gate import may_go_everywhere, refusal
from delivery.changes.since import Change, show, where_it_left
from delivery.findings import CannotCheck
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from delivery.repository import Repository

_CANNOT = 2


def main() -> int:
    """Print the difference, or what the gate says."""
    arguments = _arguments()
    try:
        repository = Repository(arguments.root.resolve())
        base = where_it_left(repository, arguments.base)
        if arguments.command == "gate" and may_go_everywhere(repository, base, arguments.labels.split(",")):
            print("The gate is open: this change says that it is meant for every environment.")
            return 0
        renderer = Renderer.from_toolbox(Toolbox())
        with Progress(sys.stderr).step("environments rendered, before and after"):
            change = Change.since(repository, base, renderer)
        if arguments.command == "diff":
            show(change.report())
            return 1 if arguments.exit_code and change.differs else 0
        said = refusal(change)
    except (Problem, CannotCheck) as error:
        print(error, file=sys.stderr)
        return _CANNOT
    print(said or "The gate is open: no more than one environment that runs anything changes.")
    return 1 if said else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m delivery.changes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["diff", "gate"])
    parser.add_argument("--base", required=True, help="a branch, tag or commit")
    parser.add_argument("--labels", default="", help="of the pull request, separated by commas")
    parser.add_argument("--exit-code", action="store_true", help="let diff end with 1 when anything differs")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout; default: this folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
