"""Release what changed: python -m delivery.release COMMAND.

changed   print the services whose images' inputs changed since they were released
registry  print the host to log in to
build     build and push them (root, buildah, skopeo), leave records and bills in --folder
sign      sign what a build recorded, by cosign
commit    write it into dev, and push main
verify    check that the release workflow of this repository signed what an environment runs
"""

import argparse
import sys
from pathlib import Path

from sandbox.problem import Problem
from sandbox.progress import Progress

from delivery.environments import Facts
from delivery.images.inputs import services_with_images
from delivery.images.library import Library
from delivery.promotion.move import choose
from delivery.promotion.release import Release
from delivery.release.commit import release
from delivery.release.images import Pushed, build
from delivery.release.revisions import changed_services
from delivery.release.signing import sign, verify
from delivery.repository import Repository
from delivery.stages import STAGES, release_path, require_stage

_NOBODYS = "example.com"


def main() -> int:
    """Do one step of a release; 1 when it cannot be done."""
    arguments = _arguments()
    repository = Repository(arguments.root.resolve())
    try:
        for line in _COMMANDS[arguments.command](repository, arguments):
            print(line)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _changed(repository: Repository, arguments: argparse.Namespace) -> list[str]:
    registry = _facts(repository).registry
    if _NOBODYS in registry:
        print(f"Nothing is released to {registry}: name yours in platform/origin/patch-origin.yaml.", file=sys.stderr)
        return []
    return services_with_images(repository.root) if arguments.all else changed_services(repository)


def _registry(repository: Repository, _arguments: argparse.Namespace) -> list[str]:
    return [_facts(repository).registry.partition("/")[0]]


def _build(repository: Repository, arguments: argparse.Namespace) -> list[str]:
    library = Library(Path.home() / ".cache" / "fairlead", Progress(sys.stderr))
    services = _changed(repository, arguments)
    pushed = build(repository, library, services, registry=_facts(repository).registry, into=arguments.folder)
    return [each.reference for each in pushed]


def _sign(_repository: Repository, arguments: argparse.Namespace) -> list[str]:
    pushed = Pushed.read_all(arguments.folder)
    sign(pushed, arguments.folder)
    return [f"signed {each.reference}" for each in pushed]


def _commit(repository: Repository, arguments: argparse.Namespace) -> list[str]:
    return release(repository, Pushed.read_all(arguments.folder)) or ["dev has all of it already, or something newer"]


def _verify(repository: Repository, arguments: argparse.Namespace) -> list[str]:
    require_stage(arguments.environment)
    facts = _facts(repository)
    references = [
        f"{facts.registry}/{image.rpartition('/')[2]}@{digest}"
        for service in choose(repository, arguments.environment, arguments.service)
        for image, digest in _release(repository, arguments.environment, service).images.items()
    ]
    if not references:
        raise Problem(
            f"{arguments.environment} runs nothing that was released.", "Images are signed by releases alone."
        )
    verify(references, facts.repository)
    return [f"signed by the release workflow: {each}" for each in references]


_COMMANDS = {
    "changed": _changed,
    "registry": _registry,
    "build": _build,
    "sign": _sign,
    "commit": _commit,
    "verify": _verify,
}


def _release(repository: Repository, environment: str, service: str) -> Release:
    return Release.parse((repository.root / release_path(environment, service)).read_text())


def _facts(repository: Repository) -> Facts:
    return Facts.read(repository.root / "clusters" / STAGES[0] / "facts")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m delivery.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=[*_COMMANDS])
    parser.add_argument("--folder", type=Path, default=Path("artifacts/release"), help="records and bills of a build")
    parser.add_argument("--all", action="store_true", help="also what did not change, as for a new base image")
    parser.add_argument("--service", default="all")
    parser.add_argument("--environment", default=STAGES[0])
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the checkout; default: this folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
