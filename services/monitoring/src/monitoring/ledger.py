"""What the writer does to the tables, inside a transaction that it owns."""

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.events.v1.events_pb2 import FeedbackGiven, PredictionMade

from monitoring.outcomes import store_outcome
from monitoring.rows import (
    MICROSECONDS,
    MINUTE,
    PREDICTION_COLUMNS,
    PredictionRow,
    id_to_bytes,
    latency_bucket,
    to_microseconds,
    to_row,
)
from monitoring.sources import Key, key_of, source_id

_INSERT = (
    f"INSERT INTO predictions ({PREDICTION_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING"  # noqa: S608
)
_COUNT_TRAFFIC = """
    INSERT INTO traffic (minute, model_id, label, predictions) VALUES (?,?,?,?)
    ON CONFLICT DO UPDATE SET predictions = predictions + excluded.predictions"""
_COUNT_LATENCY = """
    INSERT INTO latency (minute, model_id, stage, bucket, predictions) VALUES (?,?,?,?,?)
    ON CONFLICT DO UPDATE SET predictions = predictions + excluded.predictions"""
_KEEP_LATEST_FEEDBACK = """
    INSERT INTO feedback (prediction_id, label, source, given_at, received_at, waiting) VALUES (?,?,?,?,?,?)
    ON CONFLICT DO UPDATE SET label = excluded.label, source = excluded.source, given_at = excluded.given_at,
        received_at = excluded.received_at
    WHERE excluded.given_at >= given_at"""
_JUDGE = """
    UPDATE predictions SET actual = (SELECT label FROM feedback WHERE prediction_id = predictions.id)
    WHERE id = ?"""

# An upsert that changes nothing returns the row that is there.
_KEEP_SPEC = """
    INSERT INTO feature_specs (name, digest) VALUES (?,?) ON CONFLICT DO UPDATE SET name = excluded.name RETURNING id"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one batch added: predictions per (model name, label), and how many were known already."""

    added: Counter[tuple[str, str]]
    repeated: int


class Ledger:
    """Writes records through one connection, whose ids of sources and feature specs it remembers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._sources: dict[Key, int] = {}
        self._model_names: dict[int, str] = {}
        self._specs: dict[tuple[str, str], int] = {}
        (self.rows,) = connection.execute("SELECT count(*) FROM predictions").fetchone()

    def store(self, predictions: Sequence[PredictionMade]) -> Stored:
        """Store a batch; a prediction that is there already is left as it is and counted nowhere."""
        rows = [to_row(each, self._source_id(each), self._spec_id(each)) for each in predictions]
        added = self._insert(rows)
        self.rows += len(added)
        traffic = Counter((row[1] // MINUTE, row[2], row[3]) for row in added)
        latency: Counter[tuple[int, int, int, int]] = Counter()
        for row in added:
            minute = row[1] // MINUTE
            for stage, microseconds in enumerate(row[8:11]):
                latency[minute, row[2], stage, latency_bucket(microseconds)] += 1
        self.connection.executemany(_COUNT_TRAFFIC, [(*key, count) for key, count in traffic.items()])
        self.connection.executemany(_COUNT_LATENCY, [(*key, count) for key, count in latency.items()])
        self._join_waiting_feedback(added)
        per_label: Counter[tuple[str, str]] = Counter()
        for (_, model_id, label), count in traffic.items():
            per_label[self._model_names[model_id], label] += count
        return Stored(per_label, len(rows) - len(added))

    def give(self, feedback: FeedbackGiven) -> bool:
        """Keep feedback unless a later one is known; return whether its prediction is."""
        identifier = id_to_bytes(feedback.prediction_id)
        known = bool(self.connection.execute("SELECT 1 FROM predictions WHERE id = ?", (identifier,)).fetchone())
        given_at = to_microseconds(feedback.given_at)
        row = (identifier, feedback.label, feedback.source, given_at, int(time.time() * MICROSECONDS), not known)
        self.connection.execute(_KEEP_LATEST_FEEDBACK, row)
        if known:
            self._judge(identifier)
        return known

    def _insert(self, rows: list[PredictionRow]) -> list[PredictionRow]:
        """Insert rows and return those that were new; a batch sent twice is the rare case."""
        self.connection.execute("SAVEPOINT batch")
        if self.connection.executemany(_INSERT, rows).rowcount == len(rows):
            self.connection.execute("RELEASE batch")
            return rows
        self.connection.execute("ROLLBACK TO batch")
        self.connection.execute("RELEASE batch")
        return [row for row in rows if self.connection.execute(_INSERT, row).rowcount]

    def _join_waiting_feedback(self, rows: list[PredictionRow]) -> None:
        if not self.connection.execute("SELECT EXISTS (SELECT 1 FROM feedback WHERE waiting = 1)").fetchone()[0]:
            return
        for row in rows:
            identifier = (row[0],)
            joined = self.connection.execute("UPDATE feedback SET waiting = 0 WHERE prediction_id = ?", identifier)
            if joined.rowcount:
                self._judge(row[0])

    def _judge(self, identifier: bytes) -> None:
        self.connection.execute(_JUDGE, (identifier,))
        store_outcome(self.connection, identifier)

    def _source_id(self, prediction: PredictionMade) -> int:
        key = key_of(prediction)
        known = self._sources.get(key)
        if known is None:
            known = source_id(self.connection, key, began_at=to_microseconds(prediction.made_at))
            self._sources[key] = known
            self._model_names[known] = prediction.model.name
        return known

    def _spec_id(self, prediction: PredictionMade) -> int:
        key = (prediction.feature_spec, prediction.feature_spec_digest)
        known = self._specs.get(key)
        if known is None:
            row = self.connection.execute(_KEEP_SPEC, key).fetchone()
            known = self._specs[key] = int(row[0])
        return known
