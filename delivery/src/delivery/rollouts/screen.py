"""A picture that is drawn again in place on a terminal; elsewhere the lines that changed, with the time."""

import shutil
import time
from collections.abc import Sequence
from typing import Self, TextIO

from delivery.rollouts.view import WIDTH, coloured

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """Where rollouts are followed. On a terminal it has a screen of its own and leaves the last picture behind."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.live = stream.isatty()
        self._last: list[str] = []
        self._said: set[str] = set()

    @property
    def width(self) -> int:
        """How long a line may be."""
        return shutil.get_terminal_size((WIDTH, 0)).columns if self.live else WIDTH

    def __enter__(self) -> Self:
        if self.live:
            self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self._write(_LEAVE + "".join(f"{line}\n" for line in self._last))

    def show(self, lines: Sequence[str], summaries: Sequence[str] = ()) -> None:
        """Draw the picture; without a terminal, print what of the summaries is new."""
        now = time.strftime("%H:%M:%S")
        if not self.live:
            for line in summaries:
                if line not in self._said:
                    self._write(f"{now}  {line}\n")
            self._said = set(summaries)
            return
        self._last = [coloured(line) for line in lines]
        height = shutil.get_terminal_size().lines - 2
        shown = [*self._last[:height], *(["~"] if len(lines) > height else [])]
        head = f"rollouts at {now}, Ctrl-C ends"
        self._write(_HOME + "".join(f"{line}{_REST_OF_LINE}\r\n" for line in (head, *shown)) + _REST_OF_SCREEN)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
