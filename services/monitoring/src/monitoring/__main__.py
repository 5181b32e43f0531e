"""Run the monitoring service."""

from importlib.metadata import version

from service_runtime.process import run

from monitoring.service import create_service
from monitoring.settings import Settings

if __name__ == "__main__":
    settings = Settings.read()
    run("monitoring", settings, create_service(settings), version=version("monitoring"))
