"""Callers who remember of each answer which revision and which model gave it; some know the right label and say so."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from loadtests.traffic import DIGITS, picture
from local_stack.access import ARM_HEADER

from storykit.cluster import Cluster

REVISION = "x-fairlead-revision"
_TIMEOUT_S = 10.0
# The door turns away who alone asks more than fifty times a second.
_OF_ONE = 50
_PREDICT = "/v1/models/digits:predict"


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: when it was answered, by whom, and how."""

    at: float
    status: int
    """0: there was no answer at all."""
    revision: str
    digest: str
    milliseconds: float
    right: bool
    caller: str = ""
    arm: str = ""
    """Of the experiment that runs, if one does."""


@dataclass(slots=True)
class Answers:
    """All that was answered so far."""

    seen: list[Asked] = field(default_factory=list)

    def between(self, begin: float, end: float) -> list[Asked]:
        """Return what was answered in a time."""
        return [each for each in self.seen if begin <= each.at <= end]


@contextmanager
def asking(
    cluster: Cluster, *, threads: int = 2, each: int = 1, pause: float = 0.05, labelling: bool = False
) -> Iterator[Answers]:
    """Send pictures from the beginning to the end of a block; with `labelling`, after each answer the right label.

    In each thread so many callers take turns.
    """
    answers, finished = Answers(), threading.Event()

    def ask(first: int) -> None:
        doors = [Door(cluster, f"asker-{first}-{number}") for number in range(each)]
        digits = itertools.islice(itertools.cycle(DIGITS), first, None)
        for door, digit in zip(itertools.cycle(doors), digits, strict=False):
            answers.seen.append(_predicted(door, digit, labelling=labelling))
            if finished.wait(pause):
                break
        for door in doors:
            door.close()

    workers = [threading.Thread(target=ask, args=(first,), daemon=True) for first in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield answers
    finally:
        finished.set()
        for worker in workers:
            worker.join()


def shares(cluster: Cluster, calls: int, *, threads: int = 4) -> dict[str, float]:
    """Ask so many times which revision answers, and return the share of each in percent."""
    revisions: list[str] = []

    def ask(worker: int) -> None:
        for number in range(calls // threads // _OF_ONE):
            door = Door(cluster, f"weigher-{worker}-{number}")
            revisions.extend(door.request("GET", "/v1/models")[1].get(REVISION, "") for _ in range(_OF_ONE))
            door.close()

    workers = [threading.Thread(target=ask, args=(worker,), daemon=True) for worker in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(revisions) == calls
    return {revision: 100 * revisions.count(revision) / calls for revision in set(revisions)}


class Door:
    """One caller's connection to the door; it stays open."""

    def __init__(self, cluster: Cluster, subject: str) -> None:
        self.subject = subject
        access, address = cluster.access(subject=subject), urlsplit(cluster.rest).netloc
        self._headers = access.headers()
        context = access.context()
        self._connection = (
            http.client.HTTPSConnection(address, timeout=_TIMEOUT_S, context=context)
            if context
            else http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
        )

    def request(
        self, method: str, path: str, body: bytes | None = None, media_type: str = ""
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Ask, and return status, headers and body."""
        headers = {**self._headers, **({"content-type": media_type} if media_type else {})}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def close(self) -> None:
        """Hang up; the next request opens it again."""
        self._connection.close()


def _predicted(door: Door, digit: str, *, labelling: bool) -> Asked:
    began = time.monotonic()
    try:
        status, headers, content = door.request("POST", _PREDICT, picture(digit), "image/png")
        now = time.monotonic()
        body = json.loads(content) if status == http.client.OK else {}
        if body and labelling:
            feedback = json.dumps({"label": digit, "source": "story"}).encode()
            door.request("POST", f"/v1/predictions/{body['prediction_id']}:feedback", feedback, "application/json")
    except (OSError, http.client.HTTPException):
        door.close()
        return Asked(time.monotonic(), 0, "", "", 0.0, right=False, caller=door.subject)
    return Asked(
        now,
        status,
        headers.get(REVISION, ""),
        body.get("model", {}).get("digest", ""),
        (now - began) * 1e3,
        right=body.get("label") == digit,
        caller=door.subject,
        arm=headers.get(ARM_HEADER, ""),
    )
