"""python -m sandbox up | down | status | doctor: what make cluster and its companions run."""

import argparse
import signal
import sys

from sandbox.cluster import Sandbox
from sandbox.explain import explained
from sandbox.problem import Problem
from sandbox.settings import SandboxSettings

_COMMANDS = {
    "up": "bring up Kubernetes with Argo CD, or continue where an earlier command ended",
    "down": "remove it and everything of it from this machine",
    "status": "say what runs, and what is wrong with it",
    "doctor": "look at this machine and at the cluster, say what is wrong and what to type",
}


def main() -> int:
    """Run one command; what a person can mend is said without a stack."""
    parser = argparse.ArgumentParser(prog="sandbox", description="A real one-node Kubernetes on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in _COMMANDS.items():
        commands.add_parser(name, help=text)
    command = parser.parse_args().command
    # make ends with SIGTERM; the steps clean up behind themselves as they do for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sandbox = Sandbox(SandboxSettings.read())
        return int(
            {"up": sandbox.up, "down": sandbox.down, "status": sandbox.status, "doctor": sandbox.doctor}[command]()
        )
    except (Problem, OSError) as failure:
        print(f"\n{explained(failure)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. make cluster continues from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
