"""python -m delivery.door token|renew: what make token and make renew run."""

import argparse
import re
import sys
from datetime import timedelta

from sandbox.commands import CommandFailed
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem
from sandbox.settings import ROOT, SandboxSettings

from delivery.door.local import LocalDoor
from delivery.environments import Facts
from delivery.stages import LOCAL

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SCOPES = ("predict", "feedback", "admin")


def main() -> int:
    """Print a token, or give the door a new certificate and the platform's tests a new token."""
    arguments = _arguments()
    settings = SandboxSettings.read()
    door = LocalDoor.of(Facts.read(ROOT / "clusters" / LOCAL / "facts"), settings)
    try:
        _refuse_without_sandbox(settings)
        if arguments.command == "token":
            print(door.token(arguments.subject, tuple(arguments.scopes.split()), arguments.ttl))
        else:
            door.provide(Kubectl(settings.bin / "kubectl", settings.kubeconfig), renew=True)
            print(f"The door of {door.facts.namespace} has a new certificate; callers trust it by {settings.ca}")
    except (Problem, CommandFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def duration(text: str) -> timedelta:
    """Read a time as in 90s, 15m, 1h or 7d."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write it as 90s, 15m, 1h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _refuse_without_sandbox(settings: SandboxSettings) -> None:
    if not settings.keys.is_dir():
        raise Problem("There is no sandbox on this machine, and so nobody who signs.", "Start it: make cluster")


def _scopes(text: str) -> str:
    if unknown := sorted(set(text.split()) - set(_SCOPES)):
        raise argparse.ArgumentTypeError(f"no such scope: {', '.join(unknown)}; there are {', '.join(_SCOPES)}")
    return text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m delivery.door", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    token = commands.add_parser("token", help="print a token of the sandbox's issuer")
    token.add_argument("--scopes", type=_scopes, default="predict feedback", help="separated by spaces")
    token.add_argument("--subject", default="me", help="who calls: quotas and experiments go by it")
    token.add_argument("--ttl", type=duration, default="1h", help="for how long: 90s, 15m, 1h, 7d")
    commands.add_parser("renew", help="a new certificate for the door, and a new token for the platform's tests")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
