"""A story as a person follows it: given, when, then, each with its time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sandbox.progress import Progress, Step

from storykit.figures import Figure


class Story:
    """Shows which part is told; a part that takes long shows what it waits for (step.detail)."""

    def __init__(self, progress: Progress, record: Callable[[Figure], None]) -> None:
        self._progress = progress
        self._record = record

    @contextmanager
    def given(self, what: str) -> Iterator[Step]:
        """Tell what was so before."""
        with self._progress.step(f"given {what}") as step:
            yield step

    @contextmanager
    def when(self, what: str) -> Iterator[Step]:
        """Tell what happens."""
        with self._progress.step(f"when  {what}") as step:
            yield step

    @contextmanager
    def then(self, what: str) -> Iterator[Step]:
        """Tell what must be so after it."""
        with self._progress.step(f"then  {what}") as step:
            yield step

    def measured(self, name: str, value: float, *, unit: str = "s", target: float | None = None) -> None:
        """Keep a figure, to be shown beside its target at the end: a story is not judged by it."""
        self._record(Figure(name, value, unit, target))


def following(step: Step, line: str) -> None:
    """Show the last line of a push as the detail of a step."""
    step.detail = line.removeprefix("...").removeprefix("ok").strip()
