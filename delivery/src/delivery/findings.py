"""What the checks have to say."""

from dataclasses import dataclass


class CannotCheck(Exception):
    """The check itself cannot run here; the message says what to do."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake: where, which rule, and what to do about it."""

    where: str
    rule: str
    says: str

    def __str__(self) -> str:
        """Return one line for a person."""
        return f"{self.where}: {self.says} [{self.rule}]"
