"""The difference between two renderings, for a terminal or a pull request."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from delivery.changes.rendered import Objects
from delivery.stages import place

_COLOURS = {"---": "1", "+++": "1", "@@ ": "36", "-": "31", "+": "32"}


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one environment."""

    environment: str
    before: Objects
    after: Objects

    @property
    def added(self) -> list[str]:
        """Objects that come."""
        return sorted(set(self.after) - set(self.before))

    @property
    def removed(self) -> list[str]:
        """Objects that go."""
        return sorted(set(self.before) - set(self.after))

    @property
    def changed(self) -> list[str]:
        """Objects that stay, but not as they are."""
        return sorted(name for name in set(self.before) & set(self.after) if self.before[name] != self.after[name])

    @property
    def names(self) -> list[str]:
        """All of them."""
        return sorted([*self.added, *self.removed, *self.changed])

    def lines(self) -> Iterator[str]:
        """Return a unified difference, object by object."""
        for name in self.names:
            old, new = (each.get(name, "").splitlines() for each in (self.before, self.after))
            where = f"clusters/{self.environment}/{name}"
            files = (where if old else "/dev/null", where if new else "/dev/null")
            yield from difflib.unified_diff(old, new, *files, lineterm="")


def differences(before: Mapping[str, Objects], after: Mapping[str, Objects]) -> list[Difference]:
    """Compare the environments of two checkouts, also those that only one of them has."""
    names = sorted({**before, **after}, key=place)
    return [Difference(name, before.get(name, {}), after.get(name, {})) for name in names]


def summary(found: list[Difference]) -> Iterator[str]:
    """Return a table of how much differs where."""
    yield f"{'environment':<14}{'changed':>9}{'added':>9}{'removed':>9}"
    for each in found:
        yield f"{each.environment:<14}{len(each.changed):>9}{len(each.added):>9}{len(each.removed):>9}"


def coloured(line: str) -> str:
    """Return a line of a unified difference as a terminal shows it."""
    colour = next((code for start, code in _COLOURS.items() if line.startswith(start)), "")
    return f"\x1b[{colour}m{line}\x1b[0m" if colour else line
