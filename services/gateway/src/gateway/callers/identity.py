"""What a token says of its bearer, or that it says nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token says of its bearer. `valid_until` is in seconds since the epoch, leeway included."""

    subject: str
    scopes: frozenset[str]
    valid_until: float


class InvalidToken(Exception):
    """A token that counts for nothing; why is for our metrics, not for its bearer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
