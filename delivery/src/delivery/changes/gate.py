"""The gate: a change reaches one environment at a time, unless it says that it is meant for all."""

from collections.abc import Iterable

from delivery.changes.since import Change
from delivery.stages import LOCAL

LABEL = "all-environments"
TRAILER = "All-Environments"


def refusal(change: Change, labels: Iterable[str] = ()) -> str:
    """Return why a change may not go in as it is; empty when it may."""
    touched = [each for each in change.differences if each.names and each.environment != LOCAL]
    if len(touched) <= 1 or LABEL in labels or reasons(change):
        return ""
    lines = [f"This change alters what runs in {len(touched)} environments at once:"]
    lines += [f"  {each.environment:<8} {_few(each.names)}" for each in touched]
    lines += [
        "A mistake in it would reach all of them. Make it in clusters/dev alone, and in the next environment once it",
        f"has run there. If it must go everywhere at once, label the pull request {LABEL}, or say why in a commit:",
        f"  {TRAILER}: <why>",
    ]
    return "\n".join(lines)


def reasons(change: Change) -> list[str]:
    """Return what the commits of a change say for going everywhere at once."""
    trailers = f"--format=%(trailers:key={TRAILER},valueonly)"
    return list(filter(None, change.repository.git("log", trailers, f"{change.base}..HEAD").splitlines()))


def _few(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
