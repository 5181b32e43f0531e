"""The hooks of the sandbox's git server: python -m delivery.push install|check|deploy."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox.commands import CommandFailed
from sandbox.git_service import REPOSITORY, GitService
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem
from sandbox.progress import Progress
from sandbox.settings import ROOT, SandboxSettings

from delivery.door.local import LocalDoor
from delivery.environments import Facts
from delivery.images.library import Library
from delivery.push.argo_cd import ArgoCD
from delivery.push.deploy import Deployment
from delivery.push.judged import Judged
from delivery.push.received import Update, deployable, refusal, updates
from delivery.repository import GitFailed, Repository
from delivery.stages import LOCAL

HOOKS = {
    "pre-receive": "delivery.push check",
    "post-receive": "delivery.push deploy",
    "notice-rollout-aborted": "delivery.proposals",
}
"""What the git server runs, and by which module."""
_PROGRESS_S = 5.0


def main() -> int:
    """Install the hooks, or be one; 1 refuses the push."""
    parser = argparse.ArgumentParser(prog="python -m delivery.push", description=__doc__)
    parser.add_argument("command", choices=["install", "check", "deploy"])
    parser.add_argument("--repository", type=Path, help="default: the sandbox's")
    arguments = parser.parse_args()
    settings = SandboxSettings.read()
    repository = arguments.repository or GitService(settings, address="").repositories / REPOSITORY
    try:
        if arguments.command == "install":
            install(repository.resolve())
            if not arguments.repository:
                _furnish(settings)
        elif arguments.command == "check":
            return _check(list(updates(sys.stdin)), Judged(repository / "judged"))
        else:
            _deploy(settings, repository, list(updates(sys.stdin)))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def install(repository: Path) -> None:
    """Write the hooks into a bare repository, to run with the Python that installs them."""
    if not (repository / "hooks").is_dir():
        raise Problem(f"{repository} is no git repository.", "Start the sandbox: make cluster")
    for name, command in HOOKS.items():
        hook = repository / "hooks" / name
        # After the push git's own variables point into the bare repository, wherever a command is run.
        unset = "unset $(git rev-parse --local-env-vars)\n" if name == "post-receive" else ""
        run = f'exec "{sys.executable}" -m {command} --repository "{repository}"\n'
        hook.write_text(f"#!/bin/sh\n{unset}{run}")
        hook.chmod(0o755)
    # What deploy/local was before is how a revert finds what served then.
    Repository(repository).git("config", "core.logAllRefUpdates", "true")


def _furnish(settings: SandboxSettings) -> None:
    """Let the door have a certificate that lasts, and say how to call it."""
    facts = Facts.read(ROOT / "clusters" / LOCAL / "facts")
    LocalDoor.of(facts, settings).provide(Kubectl(settings.bin / "kubectl", settings.kubeconfig))
    print(
        f'  curl --cacert {settings.ca} -H "authorization: Bearer $(make -s token)" https://{facts.host}:30443/v1/models'
    )


def _check(received: list[Update], judged: Judged) -> int:
    for said in filter(None, map(refusal, received)):
        print(said, file=sys.stderr)
        return 1
    commit = deployable(received)
    if not commit:
        return 0
    if judged.knows(commit):
        print("  ok     manifests: as they were judged before")
        return 0
    with tempfile.TemporaryDirectory(prefix="fairlead-check-") as scratch:
        # What is pushed is not in the repository yet: git finds it by the variables that it gave to this hook.
        archive = subprocess.run(["git", "archive", "--format=tar", commit], capture_output=True, check=True).stdout
        subprocess.run(["tar", "--extract", "--directory", scratch], input=archive, check=True)
        with Progress(every_s=_PROGRESS_S).step("manifests: rendered, valid, within the rules"):
            done = subprocess.run(
                [sys.executable, "-m", "delivery", "check", scratch], capture_output=True, text=True, check=False
            )
    if done.returncode:
        raise Problem(f"This commit is refused:\n{done.stdout}{done.stderr}", "Mend it; to see the same: make check")
    judged.keep(commit)
    return 0


def _deploy(settings: SandboxSettings, repository: Path, received: list[Update]) -> None:
    commit = deployable(received)
    if not commit:
        return
    progress = Progress(every_s=_PROGRESS_S)
    library = Library(settings.cache.parent, progress)
    argo_cd = ArgoCD(Kubectl(settings.bin / "kubectl", settings.kubeconfig))
    try:
        Deployment(Repository(repository), library, argo_cd, progress, settings).run(commit)
    except (CommandFailed, GitFailed) as failure:
        raise Problem(
            f"main is {commit[:12]}, but it is not deployed: {failure}", "Mend it and push again."
        ) from failure


if __name__ == "__main__":
    sys.exit(main())
