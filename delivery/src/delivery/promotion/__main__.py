"""Move releases between environments: python -m delivery.promotion promote|rollback.

The work tree stays as it is: what moves is committed to a branch of its own. Where gh is logged in, that becomes a
pull request; elsewhere its text is printed.
"""

import argparse
import sys
from pathlib import Path

from sandbox.problem import Problem

from delivery.changes.since import show
from delivery.findings import CannotCheck
from delivery.programs import Toolbox
from delivery.promotion.move import Move
from delivery.promotion.promote import promote
from delivery.promotion.pull_request import body, can_open, opened
from delivery.promotion.rollback import roll_back
from delivery.repository import Repository

_LONGEST_REASON = 2000
_USES = {
    "promote": "make promote SERVICE=gateway FROM=dev TO=staging",
    "rollback": "make rollback SERVICE=gateway ENV=prod",
}


def main() -> int:
    """Make the branch and its pull request, or print what that would say."""
    arguments = _arguments()
    repository = Repository(arguments.root.resolve())
    try:
        _present(repository, _move(arguments, repository), may_open=not arguments.print)
    except (Problem, CannotCheck) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _move(arguments: argparse.Namespace, repository: Repository) -> Move:
    if not all(vars(arguments)[name] for name in arguments.needs):  # as make hands over what was not said
        raise Problem("Say what is to move, and where.", _USES[arguments.command])
    if arguments.command == "promote":
        steps = {"source": arguments.source, "target": arguments.target}
        return promote(repository, Toolbox(), service=arguments.service, **steps)
    where = {"service": arguments.service, "environment": arguments.environment}
    return roll_back(repository, Toolbox(), **where, why=_shortened(arguments.why))


def _shortened(why: str) -> str:
    """Keep what a commit message can bear of a text that came from anywhere, as printable lines."""
    lines = ["".join(letter for letter in line if letter.isprintable()) for line in why.splitlines()]
    return "\n".join(lines)[:_LONGEST_REASON].strip()


def _present(repository: Repository, move: Move, *, may_open: bool) -> None:
    count = f"{len(move.changes)} commit{'s' if len(move.changes) > 1 else ''}"
    print(f"{count} on branch {move.branch}, on top of {repository.subject(move.base)}")
    if may_open and can_open(repository):
        print(opened(repository, move))
        return
    print(f"For review: git push origin {move.branch}, and a pull request with this text:\n\n{move.title}\n")
    show(iter(body(repository, move).splitlines()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m delivery.promotion", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    promotion = commands.add_parser("promote", help="copy a release to the next environment")
    promotion.add_argument("--from", dest="source", required=True)
    promotion.add_argument("--to", dest="target", required=True)
    promotion.set_defaults(needs=("service", "source", "target"))
    rollback = commands.add_parser("rollback", help="bring back what ran before")
    rollback.add_argument("--environment", required=True)
    rollback.add_argument("--why", default="", help="a reason, for the commit and the pull request")
    rollback.set_defaults(needs=("service", "environment"))
    for command in (promotion, rollback):
        command.add_argument("--service", required=True, help="promote also takes all: those that differ")
        command.add_argument("--print", action="store_true", help="open no pull request")
        command.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout; default: this folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
