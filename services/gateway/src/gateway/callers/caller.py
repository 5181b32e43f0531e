"""Whom a request is worked for."""

import math
from contextvars import ContextVar
from dataclasses import dataclass

_current: ContextVar["Caller | None"] = ContextVar("gateway_caller", default=None)


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the ways in which an experiment serves its callers."""

    experiment: str
    name: str


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller as the door has let it in. `valid_until` is in seconds since the epoch."""

    key: str
    arm: Arm | None = None
    valid_until: float = math.inf


def current_caller() -> Caller | None:
    """Return the caller that this task works for; None outside of a request."""
    return _current.get()


def work_for(caller: Caller) -> None:
    """Work for this caller from here to the end of the task."""
    _current.set(caller)
