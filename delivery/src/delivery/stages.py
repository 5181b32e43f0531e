"""The order in which a release reaches the environments."""

from itertools import pairwise
from pathlib import Path

from sandbox.problem import Problem

STAGES = ("dev", "staging", "prod")
LOCAL = "local"
"""Belongs to whoever develops here: a push releases to it, and nothing is promoted from or to it."""
_RELEASED_WITH = {"slo": "inference"}
"""Images that stand in the release file of a service: who judges a canary goes where the canary goes."""


def place(environment: str) -> tuple[int, str]:
    """Return what environments are sorted by: local, the stages, then any other."""
    order = (LOCAL, *STAGES)
    return (order.index(environment) if environment in order else len(order), environment)


def require_stage(environment: str) -> None:
    """Raise Problem for what is not one of the stages."""
    if environment == LOCAL:
        says = "local is not promoted or rolled back: it runs what is pushed to the sandbox."
        raise Problem(says, "To go back there: git revert, then git push sandbox HEAD:main")
    if environment not in STAGES:
        raise Problem(f"There is no environment {environment!r}.", f"Choose from: {', '.join(STAGES)}")


def require_step(source: str, target: str) -> None:
    """Raise Problem unless a release may go from one environment straight to the other."""
    require_stage(source)
    require_stage(target)
    if source == target:
        raise Problem(f"{source} and {target} are the same environment.", _steps())
    if STAGES.index(target) != STAGES.index(source) + 1:
        raise Problem(f"A release does not go from {source} to {target}.", _steps())


def application_of(image: str) -> str:
    """Return the service whose application runs an image: nearly always its own."""
    return _RELEASED_WITH.get(image, image)


def release_path(environment: str, image: str) -> Path:
    """Return where an environment's release of an image lies in a checkout."""
    return Path("clusters") / environment / "apps" / application_of(image) / "release" / "kustomization.yaml"


def _steps() -> str:
    steps = pairwise(STAGES)
    return "One step at a time: " + ", then ".join(f"FROM={source} TO={target}" for source, target in steps)
