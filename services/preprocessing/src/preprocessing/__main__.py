"""Run the preprocessing service: python -m preprocessing."""

from functools import partial
from importlib.metadata import version

from service_runtime.process import run

from preprocessing.service import serve
from preprocessing.settings import Settings


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.read()
    run("preprocessing", settings, partial(serve, settings=settings), version=version("preprocessing"))


if __name__ == "__main__":
    main()
