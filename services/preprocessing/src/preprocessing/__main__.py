"""Run the preprocessing service."""

from importlib.metadata import version

from service_runtime.process import run

from preprocessing.service import create_service
from preprocessing.settings import Settings

if __name__ == "__main__":
    settings = Settings.read()
    run("preprocessing", settings, create_service(settings), version=version("preprocessing"))
