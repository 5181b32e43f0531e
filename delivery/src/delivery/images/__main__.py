"""Build the images whose inputs changed: python -m delivery.images [SERVICE ...] [--registry HOST:PORT/PREFIX]."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.problem import Problem
from sandbox.progress import Progress
from sandbox.registry import Registry

from delivery.environments import Facts
from delivery.images.inputs import Inputs, services_with_images
from delivery.images.library import Image, Library

_ROOT = Path(__file__).resolve().parents[4]


def main() -> int:
    """Print each image with its digest; 1 when one cannot be built, or is another one when built again."""
    parser = argparse.ArgumentParser(prog="python -m delivery.images", description=__doc__)
    parser.add_argument("services", nargs="*", help="default: all that have a Dockerfile")
    parser.add_argument("--registry", help="where they go; default: the sandbox's, when it answers")
    parser.add_argument("--again", action="store_true", help="build each a second time from nothing and compare")
    arguments = parser.parse_args()
    library = Library(Path.home() / ".cache" / "fairlead", Progress())
    try:
        with library.held():
            return _build(
                library, arguments.services or services_with_images(_ROOT), arguments.registry, again=arguments.again
            )
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1


def _build(library: Library, names: Sequence[str], registry: str | None, *, again: bool) -> int:
    unknown = sorted(set(names) - set(services_with_images(_ROOT)))
    if unknown:
        raise Problem(f"No image of {', '.join(unknown)}.", f"Choose from: {', '.join(services_with_images(_ROOT))}")
    target = registry or _sandbox_registry()
    differs = False
    for name in names:
        inputs = Inputs.of(_ROOT, name)
        image = library.image(inputs)
        if again and (other := library.rebuilt(image, inputs)) != image.digest:
            print(f"  {name}: built again it is {other}, not {image.digest}", file=sys.stderr)
            differs = True
        if target:
            library.push(image, target)
        _say(library, image)
    return 1 if differs else 0


def _sandbox_registry() -> str:
    registry = Facts.read(_ROOT / "clusters" / "local" / "facts").registry
    return registry if Registry(registry.partition("/")[0]).answers() else ""


def _say(library: Library, image: Image) -> None:
    print(
        f"  {image.name}@{image.digest}  {image.megabytes} MB, built in {image.seconds} s, bill: {library.bill(image)}"
    )


if __name__ == "__main__":
    sys.exit(main())
