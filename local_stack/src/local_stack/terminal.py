"""What a person sees: steps with their time, and log lines with a coloured name in front."""

import sys
import time

import orjson

_COLOURS = {"gateway": 36, "preprocessing": 33, "inference": 35, "monitoring": 32}
_LEVELS = {"warning": 33, "error": 31, "critical": 31}
_NAME_WIDTH = 13
_STEP_WIDTH = 58
_HIDDEN = frozenset({"event", "level", "timestamp", "service", "span_id", "exception"})
_CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Prints one line per finished step, and on a terminal what is waited for meanwhile."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self.began = time.monotonic()

    def done(self, step: str) -> None:
        """Print a finished step with the time since the beginning."""
        self._print(f"  {paint('ok', 32)} {step:<{_STEP_WIDTH}} {time.monotonic() - self.began:6.1f} s\n")

    def waiting(self, for_what: str) -> None:
        """Show what is waited for, on a terminal only: it is overwritten."""
        if self._live:
            text = f"  .. {for_what}"[: _STEP_WIDTH + 5]
            self._print(f"{text:<{_STEP_WIDTH + 5}} {time.monotonic() - self.began:6.1f} s")

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._print(f"{text}\n")

    def _print(self, text: str) -> None:
        sys.stdout.write(f"{_CLEAR_LINE if self._live else ''}{text}")
        sys.stdout.flush()


def paint(text: str, colour: int) -> str:
    """Colour `text` on a terminal."""
    return f"\x1b[{colour}m{text}\x1b[0m" if sys.stdout.isatty() else text


def readable(service: str, line: str) -> str:
    """Return a log line for a person: our JSON as event and keys, anything else as it is."""
    name = paint(f"{service:<{_NAME_WIDTH}}|", _COLOURS.get(service, 37))
    try:
        entry = orjson.loads(line)
        event, level = entry["event"], entry["level"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"{name} {line}"
    keys = " ".join(f"{key}={_printable(str(value))}" for key, value in entry.items() if key not in _HIDDEN)
    stack = f"\n{entry['exception']}" if "exception" in entry else ""
    return f"{name} {paint(f'{level:<7}', _LEVELS.get(level, 37))} {event} {keys}{stack}".rstrip()


def _printable(text: str) -> str:
    """Escape what would steer the terminal: parts of a log line come from callers."""
    return text if text.isprintable() else ascii(text)
