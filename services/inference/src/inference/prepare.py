"""Make Triton's environment ahead of the first start: python -m inference.prepare [--into FOLDER]."""

import argparse
import sys
from pathlib import Path

from service_runtime.logging import configure_logging
from service_runtime.process import StartError

from inference.settings import EnvironmentSettings
from inference.triton_environment import build_environment, ensure_environment


def main() -> None:
    """Print the folder of a complete environment, or say in one line what is missing."""
    parser = argparse.ArgumentParser(
        prog="inference.prepare", description="Make the environment that Triton runs from."
    )
    parser.add_argument("--into", type=Path, help="folder to build, as for an image; the default is the cache")
    into: Path | None = parser.parse_args().into
    configure_logging("inference", level="info", log_format="auto")
    settings = EnvironmentSettings()
    try:
        if into is not None:
            build_environment(into, settings.triton_requirements)
            settings = settings.model_copy(update={"triton_environment": into})
        print(ensure_environment(settings).folder)
    except StartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
