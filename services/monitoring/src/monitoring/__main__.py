"""Run the monitoring service: python -m monitoring."""

from functools import partial
from importlib.metadata import version

from service_runtime.process import run

from monitoring.service import serve
from monitoring.settings import Settings


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.read()
    run("monitoring", settings, partial(serve, settings=settings), version=version("monitoring"))


if __name__ == "__main__":
    main()
