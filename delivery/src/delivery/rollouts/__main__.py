"""Show all rollouts with weights and analyses, live: python -m delivery.rollouts [--once | --wait SERVICE].

Exit code 0: all are as git says; 1: one was aborted or is degraded; 2: nobody answers; 3: one is under way.
"""

import argparse
import json
import shutil
import signal
import sys
import time
from pathlib import Path

from sandbox.commands import CommandFailed
from sandbox.git_service import REPOSITORY, GitService
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem
from sandbox.settings import ROOT, SandboxSettings

from delivery.environments import Facts
from delivery.proposals.branches import proposed
from delivery.repository import Repository
from delivery.rollouts.read import KINDS, Rollout, rollouts
from delivery.rollouts.screen import Screen
from delivery.rollouts.view import WIDTH, lines, summary
from delivery.stages import LOCAL

_EVERY_S = 1.0
_WELL, _BAD, _CANNOT, _UNDER_WAY = range(4)


def main() -> int:
    """Show them once, until one is at its end, or until Ctrl-C."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    namespace = arguments.namespace or Facts.read(ROOT / "clusters" / arguments.environment / "facts").namespace
    asked = _Asked(_kubectl(arguments.kubeconfig), namespace, arguments.wait or "")
    try:
        if arguments.once or (not arguments.wait and not sys.stdout.isatty()):
            found = asked.rollouts()
            print("\n".join(lines(found, asked.proposals(), width=shutil.get_terminal_size((WIDTH, 0)).columns)))
            return verdict(found)
        return _follow(asked, ends=bool(arguments.wait))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return _CANNOT
    except KeyboardInterrupt:
        return 130


class _Asked:
    """Asks the cluster for its rollouts, and the sandbox's git server for proposals."""

    def __init__(self, kubectl: Kubectl, namespace: str, service: str) -> None:
        self._kubectl, self._namespace, self._service = kubectl, namespace, service

    def rollouts(self) -> list[Rollout]:
        """Return those that are meant; raise Problem when there are none."""
        try:
            told = self._kubectl.run("get", KINDS, f"--namespace={self._namespace}", "--output=json")
        except (CommandFailed, FileNotFoundError) as failure:
            said = failure.output.strip()[-300:] if isinstance(failure, CommandFailed) else str(failure)
            raise Problem(f"The cluster does not say what is rolled out: {said}", "Look closer: make doctor") from None
        found = [each for each in rollouts(json.loads(told)["items"]) if self._service in {"", "all", each.service}]
        if not found:
            wanted = f"rollout {self._service}".rstrip()
            raise Problem(f"There is no {wanted} in {self._namespace}.", "Deploy: git push sandbox HEAD:main")
        return found

    def proposals(self) -> dict[str, str]:
        """Return the branches with reverts that wait to be pushed."""
        folder = GitService(SandboxSettings.read(), address="").repositories / REPOSITORY
        return proposed(Repository(folder)) if folder.exists() else {}


def _follow(asked: _Asked, *, ends: bool) -> int:
    with Screen(sys.stdout) as screen:
        while True:
            try:
                found = asked.rollouts()
            except Problem as problem:
                if not screen.live:
                    raise
                screen.show([str(problem)])  # an API server that starts again answers soon
            else:
                picture = lines(found, asked.proposals(), width=screen.width)
                screen.show(list(picture), [summary(each) for each in found])
                if ends and not any(each.under_way for each in found):
                    return verdict(found)
            time.sleep(_EVERY_S)


def verdict(found: list[Rollout]) -> int:
    """Return the exit code: what is bad counts more than what is under way."""
    if any(not each.under_way and not each.well for each in found):
        return _BAD
    return _UNDER_WAY if any(each.under_way for each in found) else _WELL


def _kubectl(kubeconfig: Path | None) -> Kubectl:
    settings = SandboxSettings.read()
    sandbox = Kubectl(settings.bin / "kubectl", settings.kubeconfig)
    return Kubectl(Path("kubectl"), kubeconfig) if kubeconfig else sandbox


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m delivery.rollouts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="print them and end; so it is, too, where no terminal is")
    parser.add_argument("--wait", metavar="SERVICE", help="follow one, or all, to the end")
    parser.add_argument("--environment", default=LOCAL)
    parser.add_argument("--namespace", default="", help="default: the environment's")
    parser.add_argument("--kubeconfig", type=Path, help="of another cluster than the sandbox")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
