"""What git tells a hook: one line for each reference that a push changes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAIN = "refs/heads/main"
DEPLOYED = "refs/heads/deploy/local"


@dataclass(frozen=True, slots=True)
class Update:
    """A reference and the commits it leaves and takes; all zeros: there is none."""

    old: str
    new: str
    reference: str

    @property
    def removes(self) -> bool:
        """Whether the reference would be gone."""
        return not self.new.strip("0")


def updates(lines: Iterable[str]) -> Iterator[Update]:
    """Read the standard input of a hook."""
    for line in lines:
        old, new, reference = line.split()
        yield Update(old, new, reference)


def refusal(update: Update) -> str:
    """Return why a push may not touch this reference; empty when it may."""
    if update.reference == DEPLOYED:
        return "deploy/local is written by this server from what main gets. Push to main: git push sandbox HEAD:main"
    if update.reference == MAIN and update.removes:
        return "main is what the cluster runs; it cannot be removed. To remove everything: make cluster-down"
    return ""


def deployable(received: Iterable[Update]) -> str:
    """Return the commit that a push makes main; empty when it does not touch main."""
    return next((each.new for each in received if each.reference == MAIN and not each.removes), "")
