"""Reading the database beside the writer: few at a time, off the event loop, never longer than the deadline."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, DependencyUnavailable

from monitoring.database import open_for_reading

log = structlog.get_logger()

T = TypeVar("T")
Query = Callable[[sqlite3.Connection], T]


class Reader:
    """Runs queries in threads, each on a connection of its own and on one state of the database."""

    def __init__(self, path: Path, *, at_once: int, queued: int) -> None:
        self._path = path
        self._gate = AdmissionGate(at_once, queued)

    async def run(self, query: Query[T], deadline: Deadline) -> T:
        """Return what `query` returned; it is interrupted when the deadline passes or the caller leaves."""
        async with self._gate.admit(deadline):
            connection = await asyncio.to_thread(self._open)
            running = asyncio.ensure_future(asyncio.to_thread(_run, query, connection))
            try:
                async with asyncio.timeout(deadline.check("query")):
                    return await asyncio.shield(running)
            except TimeoutError as error:
                raise DeadlineExceeded("query") from error
            finally:
                connection.interrupt()
                await asyncio.wait({running})
                connection.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return open_for_reading(self._path)
        except sqlite3.Error as error:
            raise _unreadable(error) from error


def _run(query: Query[T], connection: sqlite3.Connection) -> T:
    try:
        connection.execute("BEGIN")
        return query(connection)
    except sqlite3.Error as error:
        raise _unreadable(error) from error


def _unreadable(error: sqlite3.Error) -> DependencyUnavailable:
    log.error("database.read_failed", reason=str(error), code=getattr(error, "sqlite_errorname", ""))
    return DependencyUnavailable("The database cannot be read now. Ask again later.")
