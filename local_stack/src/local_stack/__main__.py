"""python -m local_stack up | down | logs | status: what make up and its companions run."""

import argparse
import sys

from local_stack.commands import down, logs, status
from local_stack.ports import PortsTaken
from local_stack.run_folder import AlreadyRunning, RunFolder
from local_stack.service_process import ServiceDied
from local_stack.settings import BadSetting, StackSettings
from local_stack.triton_environment import PreparationFailed
from local_stack.up import detach, up

_REFUSALS = (AlreadyRunning, BadSetting, PortsTaken, PreparationFailed, ServiceDied)


def main() -> int:
    """Run one command; what a person can mend is said without a stack."""
    parser = argparse.ArgumentParser(prog="local_stack", description="Run Fairlead on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start everything, send one picture through it, stay")
    starting.add_argument("--detach", action="store_true", help="return once it answers")
    commands.add_parser("down", help="stop what up --detach started")
    commands.add_parser("logs", help="follow the logs of all services")
    commands.add_parser("status", help="say what runs")
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except _REFUSALS as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    settings = StackSettings.read()
    folder = RunFolder(settings.run_folder)
    match arguments.command:
        case "up" if arguments.detach:
            return detach(folder)
        case "up":
            return up(folder, settings)
        case "down":
            return down(folder)
        case "logs":
            return logs(folder)
        case _:
            return status(folder)


if __name__ == "__main__":
    sys.exit(main())
