"""Triton's own environment, made by the inference service's module before anything starts."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local_stack.services import INFERENCE_FILES
from local_stack.terminal import Progress, readable

_POLL_SECONDS = 0.1


class PreparationFailed(Exception):
    """Triton's environment could not be made; the message holds what was printed."""


def prepare_triton(progress: Progress, environment: Mapping[str, str], log: Path) -> None:
    """Download and lay out Triton once; later runs find it in the cache."""
    settings = {f"INFERENCE_{name}".upper(): value for name, value in INFERENCE_FILES.items()}
    with log.open("wb") as output:
        preparing = subprocess.Popen(
            [sys.executable, "-m", "inference.prepare"],
            env={**environment, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    while preparing.poll() is None:
        progress.waiting("installing Triton (the first time only: about 250 MB)")
        time.sleep(_POLL_SECONDS)
    if preparing.returncode:
        said = "\n".join(readable("inference", line) for line in log.read_text().splitlines())
        raise PreparationFailed(f"Triton could not be installed:\n{said}")
    progress.done("Triton is installed")
