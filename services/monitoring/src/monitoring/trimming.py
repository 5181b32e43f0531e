"""What retention removes, in chunks small enough that records never wait long behind them."""

import sqlite3
from collections.abc import Sequence

from monitoring.database import used_bytes
from monitoring.ledger import Ledger
from monitoring.rows import MINUTE

_HOUR_MINUTES = 60


def trim_old(ledger: Ledger, before: int, chunk: int) -> int:
    """Remove predictions made before a moment, oldest first, with their feedback; return how many."""
    return _remove(ledger, f"WHERE made_at < {before}", chunk)


def trim_over(ledger: Ledger, *, max_rows: int, max_bytes: int, chunk: int) -> int:
    """Remove the oldest predictions while there are too many of them or too many bytes; return how many."""
    if used_bytes(ledger.connection) > max_bytes:
        return _remove(ledger, "", chunk)
    surplus = ledger.rows - max_rows
    return _remove(ledger, "", min(chunk, surplus)) if surplus > 0 else 0


def trim_orphans(ledger: Ledger, before: int, chunk: int) -> int:
    """Remove feedback that came before a moment and whose prediction has not come since; return how many."""
    return ledger.connection.execute(
        """DELETE FROM feedback WHERE prediction_id IN
           (SELECT prediction_id FROM feedback WHERE waiting = 1 AND received_at < ? LIMIT ?)""",
        (before, chunk),
    ).rowcount


def trim_judged(ledger: Ledger, table: str, *, before: int, max_rows: int, max_bytes: int, chunk: int) -> int:
    """Remove outcomes or comparisons from before a moment, or the first while there are too many; return how many.

    They outlive their predictions, so that a judgement under busy traffic keeps its beginning; bytes are taken from
    them only when no prediction is left to remove.
    """
    connection = ledger.connection
    old = connection.execute(
        f"DELETE FROM {table} WHERE sequence IN (SELECT sequence FROM {table} WHERE made_at < ? LIMIT ?)",  # noqa: S608 - our names
        (before, chunk),
    ).rowcount
    if old:
        return old
    first, last = connection.execute(
        # Together in one query they would scan the table.
        f"SELECT (SELECT min(sequence) FROM {table}), (SELECT max(sequence) FROM {table})"  # noqa: S608 - our names
    ).fetchone()
    if first is None:
        return 0
    surplus = chunk if used_bytes(connection) > max_bytes else min(chunk, last - first + 1 - max_rows)
    return connection.execute(f"DELETE FROM {table} WHERE sequence < ?", (first + surplus,)).rowcount  # noqa: S608


def trim_history(ledger: Ledger, *, before: int, merge_before: int) -> int:
    """Forget counts from before a moment and merge the minutes of one hour that is old enough; return how many."""
    for table in ("traffic", "latency"):
        ledger.connection.execute(f"DELETE FROM {table} WHERE minute < ?", (before // MINUTE,))  # noqa: S608 - our names
    hour = _first_hour_in_minutes(ledger.connection, merge_before // MINUTE)
    if hour is None:
        return 0
    return sum(
        _merge(ledger.connection, table, columns, hour)
        for table, columns in (("traffic", ("model_id", "label")), ("latency", ("model_id", "stage", "bucket")))
    )


def vacuum(ledger: Ledger, pages: int) -> int:
    """Give freed pages back to the file system; return how many were free before."""
    (free,) = ledger.connection.execute("PRAGMA freelist_count").fetchone()
    # Each step frees one page, so the statement has to be run to its end.
    ledger.connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
    return min(int(free), pages)


def _remove(ledger: Ledger, where: str, chunk: int) -> int:
    removed = ledger.connection.execute(
        f"""DELETE FROM predictions WHERE id IN (SELECT id FROM predictions INDEXED BY predictions_by_time {where}
            ORDER BY made_at LIMIT {chunk}) RETURNING id"""  # noqa: S608 - integers of ours
    ).fetchall()
    ledger.connection.executemany("DELETE FROM feedback WHERE prediction_id = ?", removed)
    ledger.rows -= len(removed)
    return len(removed)


def _first_hour_in_minutes(connection: sqlite3.Connection, before: int) -> int | None:
    """Return the oldest hour before a minute that is not merged yet, as its first minute."""
    (minute,) = connection.execute(
        f"SELECT min(minute) FROM traffic WHERE minute < ? AND minute % {_HOUR_MINUTES} <> 0",  # noqa: S608 - integer
        (before // _HOUR_MINUTES * _HOUR_MINUTES,),
    ).fetchone()
    return None if minute is None else minute // _HOUR_MINUTES * _HOUR_MINUTES


def _merge(connection: sqlite3.Connection, table: str, columns: Sequence[str], hour: int) -> int:
    keys = ", ".join(columns)
    sums = connection.execute(
        f"DELETE FROM {table} WHERE minute >= ? AND minute < ? RETURNING {keys}, predictions",  # noqa: S608 - our names
        (hour, hour + _HOUR_MINUTES),
    ).fetchall()
    marks = ", ".join("?" * len(columns))
    connection.executemany(
        f"""INSERT INTO {table} (minute, {keys}, predictions) VALUES ({hour}, {marks}, ?)
            ON CONFLICT DO UPDATE SET predictions = predictions + excluded.predictions""",  # noqa: S608 - our names
        sums,
    )
    return len(sums)
