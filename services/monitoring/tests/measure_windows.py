"""Measures the README's query times on generated rows: measure_windows.py [ROWS], by default 1,000,000 over 29 days."""

import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fairlead.events.v1.events_pb2 import FeedbackGiven, ModelRef, PredictionMade, StageTimings
from monitoring import queries
from monitoring.database import open_for_reading, open_for_writing, used_bytes
from monitoring.ledger import Ledger
from monitoring.overview import WINDOWS, Choice, overview, predictions
from monitoring.rows import MICROSECONDS, id_from_bytes
from monitoring.sources import sources
from monitoring.trimming import trim_history

DAY = 86_400 * MICROSECONDS
BATCH = 500


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "predictions.db"
        now = time.time_ns() // 1000
        start = time.perf_counter()
        fill(database, rows, now)
        print(f"filled {rows:,} rows in {time.perf_counter() - start:.0f} s")
        measure(database, now)


def fill(database: Path, rows: int, now: int) -> None:
    ledger = Ledger(open_for_writing(database))
    for first in range(0, rows, BATCH):
        ledger.connection.execute("BEGIN IMMEDIATE")
        batch = [prediction(now - 29 * DAY * (rows - number) // rows) for number in range(first, first + BATCH)]
        ledger.store(batch)
        for made in batch[::10]:
            label = made.label if random.random() < 0.95 else str(random.randrange(10))
            ledger.give(FeedbackGiven(prediction_id=made.prediction_id, label=label, given_at=made.made_at))
        ledger.connection.execute("COMMIT")
    ledger.connection.execute("BEGIN IMMEDIATE")
    while trim_history(ledger, before=0, merge_before=now - 25 * DAY // 24):
        pass
    ledger.connection.execute("COMMIT")
    ledger.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    print(f"{used_bytes(ledger.connection) / rows:.0f} bytes per prediction")
    ledger.connection.close()


def prediction(made_at: int) -> PredictionMade:
    label, confidence = random.randrange(10), random.uniform(0.5, 1)
    made = PredictionMade(
        prediction_id=id_from_bytes((made_at // 1000).to_bytes(6, "big") + secrets.token_bytes(10)),
        model=ModelRef(name="digits", version="1", digest="sha256:" + "3f" * 32),
        label=str(label),
        probabilities=[confidence if each == label else (1 - confidence) / 9 for each in range(10)],
        features=[float(random.randrange(17)) for _ in range(64)],
        timings=StageTimings(
            preprocessing_ms=random.lognormvariate(0, 0.4), inference_ms=random.lognormvariate(1, 0.4)
        ),
        trace_id=secrets.token_hex(16),
    )
    made.timings.total_ms = made.timings.preprocessing_ms + made.timings.inference_ms + 0.5
    made.made_at.FromMicroseconds(made_at)
    return made


def measure(database: Path, now: int) -> None:
    connection = open_for_reading(database)
    for name, window in WINDOWS.items():
        report(f"overview {name}", partial(overview, connection, Choice(window, now)))
    choice = Choice(WINDOWS["30d"], now)
    report("mistakes", lambda: predictions(connection, choice, mistakes_only=True, size=50, start=None))
    refs = sources(connection)
    report("quality of all", lambda: queries.qualities(connection, queries.Scope(0, now, tuple(refs)), refs))


def report(name: str, ask: Callable[[], object]) -> None:
    """Print the CPU time of the quickest of three: the clock would measure the neighbours too."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        ask()
        seconds.append(time.process_time() - start)
    print(f"{name:16} {min(seconds) * 1000:7.1f} ms")


if __name__ == "__main__":
    main()
