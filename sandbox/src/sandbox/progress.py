"""Steps with elapsed time: a live line on a terminal, a line now and then elsewhere."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True)
class Step:
    """One piece of work under way; detail says how far it is."""

    title: str
    started: float = field(default_factory=time.monotonic)
    detail: str = ""

    def elapsed(self) -> str:
        """Return the time since the step began, as a person says it."""
        return in_words(time.monotonic() - self.started)


class Progress:
    """Prints every step when it begins to take long, how far it is, and how long it took."""

    def __init__(self, stream: TextIO | None = None, *, every_s: float = 15.0) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._every_s = 1.0 if self._live else every_s
        self._total = Step("everything")

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show one step while its block runs."""
        step = Step(title)
        finished = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(step, finished), daemon=True)
        ticker.start()
        try:
            yield step
        except BaseException:
            self._end(finished, ticker)
            self._print(f"  FAILED {title}  {step.elapsed()}")
            raise
        self._end(finished, ticker)
        detail = f"  {step.detail}" if step.detail else ""
        self._print(f"  ok     {title}{detail}  {step.elapsed()}")

    def say(self, text: str) -> None:
        """Print one line between steps."""
        self._print(text)

    def total(self) -> str:
        """Return the time since the command began."""
        return self._total.elapsed()

    def _tick(self, step: Step, finished: threading.Event) -> None:
        while not finished.wait(self._every_s):
            detail = f"  {step.detail}" if step.detail else ""
            self._print(f"  ...    {step.title}{detail}  {step.elapsed()}", passing=True)

    def _end(self, finished: threading.Event, ticker: threading.Thread) -> None:
        finished.set()
        ticker.join()

    def _print(self, line: str, *, passing: bool = False) -> None:
        if self._live:
            # Back to the first column and clear: the next line replaces one that only passes by, if it fits in one.
            fitting = line[: shutil.get_terminal_size().columns - 1]
            self._stream.write(f"\r\x1b[K{fitting}" if passing else f"\r\x1b[K{line}\n")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()


def in_words(seconds: float) -> str:
    """Return a duration as 0.4 s, 12 s or 3 min 05 s."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
