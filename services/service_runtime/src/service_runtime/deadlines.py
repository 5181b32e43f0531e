"""Deadlines as absolute points on the monotonic clock."""

import time
from dataclasses import dataclass
from typing import Self

from service_runtime.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment after which nobody waits for the answer any more."""

    expires_at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the deadline that lies `seconds` from now."""
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left; negative when it has passed."""
        return self.expires_at - time.monotonic()

    def check(self, stage: str) -> float:
        """Return the seconds left for `stage`, or raise DeadlineExceeded."""
        left = self.expires_at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(stage)
        return left
