"""Labelled answers in the order in which their labels came, as judgements read them."""

import sqlite3
from collections.abc import Collection, Iterator
from heapq import merge

# Its place in the order, the id of who gave the answer, and whether it was right (0 or 1).
Outcome = tuple[int, int, int]

# Whatever is told later about the same call, another picture of it or another label, changes nothing here.
_STORE = """
    INSERT INTO outcomes (model_id, made_at, trace_id, success)
    SELECT model_id, made_at, coalesce(trace_id, x''), actual = label FROM predictions
    WHERE id = ? AND actual IS NOT NULL ON CONFLICT DO NOTHING"""


def store_outcome(connection: sqlite3.Connection, prediction_id: bytes) -> None:
    """Append what the first label of a call says about it."""
    connection.execute(_STORE, (prediction_id,))


def beginning(connection: sqlite3.Connection, source_id: int) -> tuple[int, int]:
    """Return when a source made its first call, and the place of the last outcome before that."""
    row = connection.execute("SELECT began_at, began_after FROM models WHERE id = ?", (source_id,)).fetchone()
    return int(row[0]), int(row[1])


def outcomes(
    connection: sqlite3.Connection, source_ids: Collection[int], *, made_since: int, after: int
) -> Iterator[Outcome]:
    """Yield, as they are asked for, the outcomes after a place of calls made since a moment."""
    return merge(
        *(
            connection.execute(
                """SELECT sequence, model_id, success FROM outcomes INDEXED BY outcomes_by_model
                   WHERE model_id = ? AND sequence > ? AND made_at >= ? ORDER BY sequence""",
                (source_id, after, made_since),
            )
            for source_id in source_ids
        )
    )
