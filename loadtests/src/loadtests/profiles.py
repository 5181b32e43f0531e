"""Load profiles: who asks what, how often, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KINDS = ("rest.predict", "grpc.predict", "rest.infer_json", "rest.infer_binary", "grpc.infer")
"""Every kind of request, protocol first."""


class BadProfile(ValueError):
    """A profile cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """So many users for so long."""

    name: str
    users: int
    users_per_second: float
    seconds: float
    judged: bool = True
    """False while caches warm up: what is measured then counts for no threshold."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A load as data; it ends by itself."""

    name: str
    description: str
    requests_per_user_second: float
    mix: Mapping[str, int]
    """Weight of each kind of request."""
    stages: tuple[Stage, ...]
    feedback: bool = False
    """Whether callers also say what the right label was: a model is judged by labels."""

    @property
    def seconds(self) -> float:
        """How long all stages take together."""
        return sum(stage.seconds for stage in self.stages)

    def stage_at(self, seconds: float) -> Stage | None:
        """Return the stage at this time since the beginning; None when all have passed."""
        for stage in self.stages:
            if seconds < stage.seconds:
                return stage
            seconds -= stage.seconds
        return None


def read_profile(path: Path) -> Profile:
    """Read one file; raises BadProfile."""
    if not path.exists():
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.yaml"))) or "none"
        raise BadProfile(f"There is no profile {path.stem!r}. There are: {known}.")
    try:
        content = yaml.safe_load(path.read_text())
        profile = Profile(
            name=path.stem,
            description=str(content.pop("description")),
            requests_per_user_second=float(content.pop("requests_per_user_second")),
            mix=dict(content.pop("mix")),
            stages=tuple(Stage(**stage) for stage in content.pop("stages")),
            feedback=bool(content.pop("feedback", False)),
        )
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise BadProfile(f"{path.name}: {type(error).__name__}: {error}") from error
    _check(profile, content)
    return profile


def _check(profile: Profile, unknown: Mapping[str, Any]) -> None:
    problems = [f"unknown field {name!r}" for name in unknown]
    problems += [f"unknown kind {kind!r}; there are {', '.join(KINDS)}" for kind in profile.mix if kind not in KINDS]
    if not any(weight > 0 for weight in profile.mix.values()) or any(weight < 0 for weight in profile.mix.values()):
        problems.append("the weights in mix must not be negative, and one must be positive")
    if profile.requests_per_user_second <= 0:
        problems.append("requests_per_user_second must be positive")
    for stage in profile.stages:
        if min(stage.users, stage.users_per_second, stage.seconds) <= 0:
            problems.append(f"stage {stage.name!r}: users, users_per_second and seconds must be positive")
    if not any(stage.judged for stage in profile.stages):
        problems.append("no stage is judged")
    if problems:
        raise BadProfile(f"{profile.name}: {'; '.join(problems)}.")
