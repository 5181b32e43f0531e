"""Somebody who asks the door all the time which version answers."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from local_stack.first_picture import NoAnswer

_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Sighting:
    """Which version answered, and when by the monotonic clock; of no answer, why."""

    at: float
    version: str
    failure: str = ""


@dataclass(slots=True)
class Watcher:
    """What was seen so far."""

    sightings: list[Sighting] = field(default_factory=list)

    def versions(self, since: float = 0.0) -> set[str]:
        """Return every version that answered."""
        return {seen.version for seen in self.sightings if not seen.failure and seen.at >= since}

    def failures(self) -> list[Sighting]:
        """Return when nothing answered."""
        return [seen for seen in self.sightings if seen.failure]

    def first(self, version: str, since: float = 0.0) -> float:
        """Return when a version answered first."""
        return min(seen.at for seen in self.sightings if seen.version == version and seen.at >= since)


@contextmanager
def watching(ask: Callable[[], str]) -> Iterator[Watcher]:
    """Ask from the beginning to the end of a block, each time on a new connection."""
    watcher, finished = Watcher(), threading.Event()

    def watch() -> None:
        while not finished.is_set():
            try:
                version, failure = ask(), ""
            except (OSError, ValueError, http.client.HTTPException, NoAnswer) as error:
                version, failure = "", str(error)
            watcher.sightings.append(Sighting(time.monotonic(), version, failure))
            finished.wait(_PAUSE_S)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        finished.set()
        thread.join()
