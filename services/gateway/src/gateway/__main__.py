"""Run the gateway: python -m gateway."""

from functools import partial
from importlib.metadata import version

from service_runtime.process import run

from gateway.app import gateway
from gateway.settings import Settings


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings.read()
    run("gateway", settings, partial(gateway, settings=settings), version=version("gateway"))


if __name__ == "__main__":
    main()
