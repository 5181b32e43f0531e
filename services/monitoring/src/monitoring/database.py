"""Opening the SQLite file: durable, current, and never silently replaced."""

import sqlite3
import time
from pathlib import Path

import structlog

from monitoring.schema import SchemaTooNew, migrate, schema_version

log = structlog.get_logger()

_MAGIC = b"SQLite format 3\x00"
_CORRUPT = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})
_BUSY_SECONDS = 5.0


class DatabaseUnusable(OSError):
    """The file cannot be this service's database; a person has to decide."""


def open_for_writing(path: Path, *, suspect: bool = False) -> sqlite3.Connection:
    """Return the one connection that writes; a corrupt file is moved aside, kept, and a new one begun.

    `suspect` reads the whole file first: a page deep inside has shown itself broken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _refuse_foreign_file(path)
    try:
        return _open(path, check=suspect)
    except sqlite3.DatabaseError as error:
        if not is_corruption(error):
            raise DatabaseUnusable(f"{path}: {error}; is the folder writable, and is there space?") from error
        _move_aside(path, reason=str(error))
        return _open(path, check=False)
    except SchemaTooNew as error:
        raise DatabaseUnusable(f"{path}: {error}; run that release, or point MONITORING_DATABASE elsewhere") from error


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write; it may be used and interrupted from any thread."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -4096")
    return connection


def is_corruption(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is broken."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return any(name.startswith(code) for code in _CORRUPT)


def _open(path: Path, *, check: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
    try:
        schema_version(connection)  # first of all: a file of a later release is not touched
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect in an empty file only
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL syncs the log at every commit: what was acknowledged survives the loss of power, not only of the process.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        connection.execute("PRAGMA secure_delete = OFF")
        if check:
            _quick_check(connection)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _quick_check(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(verdict)
        error.sqlite_errorname = "SQLITE_CORRUPT"
        raise error


def _refuse_foreign_file(path: Path) -> None:
    """Moving aside is for our own broken file, not for whatever a mistyped setting points at."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DatabaseUnusable(f"{path} is not an SQLite database; point MONITORING_DATABASE elsewhere")


def _move_aside(path: Path, *, reason: str) -> None:
    suffix = f".corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    kept = path.with_name(path.name + suffix)
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(path.with_name(kept.name + ending))
    log.error(
        "database.moved_aside",
        database=str(path),
        kept_as=str(kept),
        reason=reason,
        hint="a new database was begun; `sqlite3 KEPT_FILE .recover` saves what can be read of the old one",
    )


def moved_aside(path: Path) -> list[str]:
    """Return the names of corrupt files that were moved aside and still lie beside the database."""
    return sorted(kept.name for kept in path.parent.glob(f"{path.name}.corrupt-*Z"))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the database that hold something."""
    values = [
        connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("page_count", "freelist_count", "page_size")
    ]
    pages, free, size = values
    return int((pages - free) * size)
