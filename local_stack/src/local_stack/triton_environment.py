"""Triton's own environment, made by the inference service's module before anything starts."""

import subprocess
import sys
from collections.abc import Mapping

from local_stack.terminal import Progress


class PreparationFailed(Exception):
    """Triton's environment could not be made; its output above says why."""


def prepare_triton(progress: Progress, environment: Mapping[str, str]) -> None:
    """Download and lay out Triton once; later runs find it in the cache."""
    progress.waiting("Triton (about 200 MB on the first run)")
    code = subprocess.call([sys.executable, "-m", "inference.prepare"], env=dict(environment))
    if code:
        raise PreparationFailed(f"Preparing Triton ended with exit code {code}; what it printed says why.")
    progress.done("Triton is installed")
