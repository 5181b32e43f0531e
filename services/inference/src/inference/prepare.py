"""Make Triton's environment ahead of the first start: python -m inference.prepare."""

import argparse
import sys

from service_runtime.logging import configure_logging
from service_runtime.process import StartError

from inference.settings import EnvironmentSettings
from inference.triton_environment import ensure_environment


def main() -> None:
    """Print the folder of a complete environment, or say in one line what is missing."""
    parser = argparse.ArgumentParser(
        prog="inference.prepare", description="Make the environment that Triton runs from."
    )
    parser.parse_args()
    configure_logging("inference", level="info", log_format="auto")
    try:
        print(ensure_environment(EnvironmentSettings()).folder)
    except StartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
