"""The one thread that writes: many jobs, one transaction, and an answer only after the disk has it."""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog
from service_runtime.errors import DependencyUnavailable

from monitoring.database import DatabaseUnusable, is_corruption, open_for_writing
from monitoring.ledger import Ledger

log = structlog.get_logger()

T = TypeVar("T")
Job = Callable[[Ledger], T]

_PROBE_SECONDS = 1.0
_PROBE_BYTES = 64 * 1024
_MAX_JOBS_PER_COMMIT = 256


@dataclass(slots=True)
class _Waiting:
    job: Job[Any]
    answer: asyncio.Future[Any]
    patient: bool
    outcome: Any = field(default=None)


class Writer:
    """Runs jobs in the order they came, grouped into transactions; enter to start, leave to finish them all.

    While the disk refuses, so does this: at once, with the reason, until a probe write goes through again.
    Patient jobs share a commit every `interval` seconds: under load that makes batches large and the disk quiet.
    """

    def __init__(self, path: Path, *, max_waiting: int, interval: float, on_commit: Callable[[float], None]) -> None:
        self._path = path
        self._interval = interval
        self._next_commit = 0.0
        self._on_commit = on_commit
        self._jobs: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._places = asyncio.Semaphore(max_waiting)
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="writer")
        self._loop = asyncio.get_running_loop()
        self._failure: str | None = None
        self._suspect = False
        self._ledger: Ledger | None = None

    @property
    def failure(self) -> str | None:
        """Why nothing can be written now; None when all is well."""
        return self._failure or (None if self._thread.is_alive() else "the writer has ended")

    @property
    def rows(self) -> int:
        """How many predictions are kept."""
        return self._ledger.rows if self._ledger else 0

    @property
    def waiting(self) -> int:
        """How many jobs have been handed in and not been answered."""
        return self._waiting

    async def check(self) -> None:
        """Raise while nothing can be written: what readiness asks."""
        if self.failure:
            raise self._refusal()

    async def do(self, job: Job[T], *, patient: bool = False) -> T:
        """Return what `job` returned, after its transaction is durable; waits while the queue is full."""
        await self._places.acquire()
        if self.failure:
            self._places.release()
            raise self._refusal()
        answer: asyncio.Future[T] = self._loop.create_future()
        answer.add_done_callback(self._leave_queue)
        self._waiting += 1
        self._jobs.put(_Waiting(job, answer, patient))
        # A caller that leaves does not take its job back: it may be in the transaction already.
        return await asyncio.shield(answer)

    def _leave_queue(self, answer: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        self._places.release()
        answer.exception()  # asked for here, so that a caller that left leaves no "never retrieved" behind

    async def __aenter__(self) -> Self:
        """Open the database and start; a file that cannot be used is an OSError that says why."""
        self._ledger = await asyncio.to_thread(self._open)
        self._thread.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Finish what was handed in, then close."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            try:
                first = self._jobs.get(timeout=_PROBE_SECONDS if self._failure else None)
            except queue.Empty:
                self._probe()
                continue
            if first is None:
                break
            stop = self._commit(first)
            if stop:
                break
        self._close()

    def _commit(self, first: _Waiting) -> bool:
        """Commit everything that waits; return whether the end of the queue was among it."""
        group, last = self._gather(first)
        if self._failure or self._ledger is None:
            self._answer(group, self._refusal())
            return last
        start = time.perf_counter()
        try:
            self._ledger.connection.execute("BEGIN IMMEDIATE")
            for waiting in group:
                waiting.outcome = waiting.job(self._ledger)
            self._ledger.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
            self._answer(group, self._refusal())
        except Exception as error:  # noqa: BLE001 - a defect in one job must not end the only writer; its callers get it
            self._roll_back(self._ledger)
            self._answer(group, error)
        else:
            self._on_commit(time.perf_counter() - start)
            self._answer(group, None)
        return last

    def _roll_back(self, ledger: Ledger) -> None:
        try:
            ledger.connection.execute("ROLLBACK")
            self._ledger = Ledger(ledger.connection)  # what the old one remembers of this transaction is not so
        except sqlite3.Error as error:
            self._fail(error)

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        group = [first]
        while len(group) < _MAX_JOBS_PER_COMMIT:
            patience = self._next_commit - time.monotonic() if all(each.patient for each in group) else 0
            try:
                following = self._jobs.get(timeout=patience) if patience > 0 else self._jobs.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return group, True
            group.append(following)
        self._next_commit = time.monotonic() + self._interval
        return group, False

    def _answer(self, group: list[_Waiting], error: Exception | None) -> None:
        def answer() -> None:
            for waiting in group:
                if waiting.answer.done():
                    continue
                if error is None:
                    waiting.answer.set_result(waiting.outcome)
                else:
                    waiting.answer.set_exception(error)

        self._loop.call_soon_threadsafe(answer)

    def _refusal(self) -> DependencyUnavailable:
        return DependencyUnavailable(f"Nothing can be stored now: {self.failure}. Send it again later.")

    def _fail(self, error: sqlite3.Error) -> None:
        self._suspect = self._suspect or is_corruption(error)
        self._failure = f"the database answers '{error}'"
        log.error("database.write_failed", reason=str(error), code=getattr(error, "sqlite_errorname", ""))
        self._close()

    def _open(self) -> Ledger:
        connection = open_for_writing(self._path, suspect=self._suspect)
        try:
            return Ledger(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            if not is_corruption(error):
                raise DatabaseUnusable(f"{self._path}: {error}") from error
            return Ledger(open_for_writing(self._path, suspect=True))

    def _probe(self) -> None:
        """Open anew and write as much as a batch would; only that shows that the disk takes bytes again."""
        try:
            ledger = self._open()
            try:
                ledger.connection.execute("INSERT INTO probe VALUES (zeroblob(?))", (_PROBE_BYTES,))
                ledger.connection.execute("DELETE FROM probe")
            except BaseException:
                ledger.connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            self._failure = f"the database answers '{error}'"
            return
        self._ledger = ledger
        self._suspect = False
        self._failure = None
        log.info("database.write_recovered")

    def _close(self) -> None:
        if self._ledger is not None:
            with suppress(sqlite3.Error):  # what could not be written has been refused already
                self._ledger.connection.close()
            self._ledger = None
