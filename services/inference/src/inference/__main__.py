"""Run the inference service: python -m inference."""

from functools import partial
from importlib.metadata import version

from service_runtime.process import run

from inference.launcher import launch
from inference.settings import Settings


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.read()
    run("inference", settings, partial(launch, settings=settings), version=version("inference"))


if __name__ == "__main__":
    main()
