"""Answers of a shadow compared to stable's: stored as they come, read in that order."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairlead.events.v1.events_pb2 import AnswersCompared

from monitoring.rows import id_to_bytes, to_microseconds

# An upsert that changes nothing returns the row that is there.
_KEEP_PAIR = """
    INSERT INTO pairs (model, stable, shadow) VALUES (?,?,?) ON CONFLICT DO UPDATE SET model = excluded.model
    RETURNING id"""
_KEEP = """
    INSERT INTO comparisons (id, made_at, pair_id, failed, labels_differ, tensors_differ) VALUES (?,?,?,?,?,?)
    ON CONFLICT DO NOTHING RETURNING sequence"""
_IN_SCOPE = "pair_id IN (SELECT id FROM pairs WHERE stable = :stable AND shadow = :shadow) AND made_at >= :since"


@dataclass(frozen=True, slots=True)
class Pair:
    """A stable and a shadow digest, and from when on they are compared."""

    stable: str
    shadow: str
    since: int = 0

    @property
    def values(self) -> dict[str, str | int]:
        """The values of a query's parameters."""
        return {"stable": self.stable, "shadow": self.shadow, "since": self.since}


@dataclass(frozen=True, slots=True)
class TensorFigures:
    """How one output tensor compared, as far as a judgement read."""

    name: str
    compared: int
    differed: int
    largest_difference: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison of two digests' answers came to: failed, label, tensors or agreed."""

    model: str
    stable: str
    shadow: str
    outcome: str


def store_comparisons(connection: sqlite3.Connection, comparisons: Sequence[AnswersCompared]) -> list[Outcome]:
    """Store comparisons and return what the new ones came to; one that is there already is left as it is."""
    stored: list[Outcome] = []
    for each in comparisons:
        pair = (each.stable.name, each.stable.digest, each.shadow.digest)
        (pair_id,) = connection.execute(_KEEP_PAIR, pair).fetchone()
        differs = any(tensor.differs for tensor in each.tensors)
        kept = connection.execute(
            _KEEP,
            (
                id_to_bytes(each.comparison_id),
                to_microseconds(each.compared_at),
                pair_id,
                each.shadow_failed,
                each.labels_differ,
                differs,
            ),
        ).fetchone()
        if kept:
            connection.executemany("INSERT INTO compared_tensors VALUES (?,?,?,?)", _tensor_rows(kept[0], each))
            stored.append(Outcome(*pair, _outcome(each, differs=differs)))
    return stored


def _outcome(compared: AnswersCompared, *, differs: bool) -> str:
    """Return the worst of what may be said of a comparison."""
    if compared.shadow_failed:
        return "failed"
    if compared.labels_differ:
        return "label"
    return "tensors" if differs else "agreed"


def pairs(connection: sqlite3.Connection, model: str, *, since: int, most: int) -> list[Pair]:
    """Return the pairs of a model whose answers were compared since a moment, the newest pairs first."""
    rows = connection.execute(
        """SELECT stable, shadow FROM pairs WHERE model = ?
           AND EXISTS (SELECT 1 FROM comparisons WHERE pair_id = pairs.id AND made_at >= ?) ORDER BY id DESC LIMIT ?""",
        (model, since, most),
    )
    return [Pair(*row) for row in rows]


def compared_lately(connection: sqlite3.Connection, *, since: int, most: int) -> list[tuple[str, Pair]]:
    """Return the pairs of any model that were compared since a moment, each with its model, the newest pairs first."""
    rows = connection.execute(
        """SELECT model, stable, shadow FROM pairs
           WHERE EXISTS (SELECT 1 FROM comparisons WHERE pair_id = pairs.id AND made_at >= ?)
           ORDER BY id DESC LIMIT ?""",
        (since, most),
    )
    return [(model, Pair(stable, shadow)) for model, stable, shadow in rows]


def disagreements(connection: sqlite3.Connection, pair: Pair) -> Iterator[tuple[int, bool]]:
    """Yield the place of each comparison, and whether the shadow did not answer as stable did."""
    rows = connection.execute(
        f"""SELECT sequence, failed OR labels_differ OR tensors_differ FROM comparisons
            WHERE {_IN_SCOPE} ORDER BY sequence""",  # noqa: S608 - our text
        pair.values,
    )
    return ((sequence, bool(disagreed)) for sequence, disagreed in rows)


def failures(connection: sqlite3.Connection, pair: Pair, *, until: int) -> tuple[int, int]:
    """Return how often, up to a place, the shadow failed, and how often the labels differed."""
    failed, labels = connection.execute(
        f"""SELECT coalesce(sum(failed), 0), coalesce(sum(labels_differ), 0) FROM comparisons
            WHERE {_IN_SCOPE} AND sequence <= :until""",  # noqa: S608 - our text
        {**pair.values, "until": until},
    ).fetchone()
    return int(failed), int(labels)


def tensor_figures(connection: sqlite3.Connection, pair: Pair, *, until: int) -> list[TensorFigures]:
    """Return the figures of each tensor up to a place."""
    rows = connection.execute(
        f"""SELECT name, count(*), sum(differs), max(largest_difference)
            FROM comparisons JOIN compared_tensors USING (sequence)
            WHERE {_IN_SCOPE} AND sequence <= :until GROUP BY name ORDER BY name""",  # noqa: S608 - our text
        {**pair.values, "until": until},
    )
    return [TensorFigures(*row) for row in rows]


def _tensor_rows(sequence: int, comparison: AnswersCompared) -> list[tuple[int, str, bool, float | None]]:
    return [
        (
            sequence,
            tensor.name,
            tensor.differs,
            tensor.largest_difference if tensor.HasField("largest_difference") else None,
        )
        for tensor in comparison.tensors
    ]
