"""The tables, and how an older file becomes a current one (PRAGMA user_version counts the steps)."""

import sqlite3

_FIRST = (
    """CREATE TABLE models (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL,
        UNIQUE (name, digest, version)
    ) STRICT""",
    """CREATE TABLE feature_specs (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, UNIQUE (name, digest)
    ) STRICT""",
    # Times are microseconds since 1970, numbers are little-endian float32. `actual` repeats the feedback's label so
    # that quality over a window is one pass over one index; both change in one transaction.
    """CREATE TABLE predictions (
        id BLOB PRIMARY KEY, made_at INTEGER NOT NULL, model_id INTEGER NOT NULL, label TEXT NOT NULL,
        confidence REAL, actual TEXT, spec_id INTEGER NOT NULL, caller_kind INTEGER NOT NULL, trace_id BLOB,
        preprocessing_us INTEGER NOT NULL, inference_us INTEGER NOT NULL, total_us INTEGER NOT NULL,
        probabilities BLOB NOT NULL, features BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX predictions_by_time ON predictions (made_at, model_id)",
    """CREATE INDEX judged_by_time ON predictions (made_at, model_id, label, actual, confidence)
        WHERE actual IS NOT NULL""",
    # `waiting` marks feedback whose prediction has not come.
    """CREATE TABLE feedback (
        prediction_id BLOB PRIMARY KEY, label TEXT NOT NULL, source TEXT NOT NULL, given_at INTEGER NOT NULL,
        received_at INTEGER NOT NULL, waiting INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX feedback_waiting ON feedback (received_at) WHERE waiting = 1",
    # Counts per minute, so that a month of traffic draws as fast as an hour; old minutes merge into their hour.
    """CREATE TABLE traffic (
        minute INTEGER NOT NULL, model_id INTEGER NOT NULL, label TEXT NOT NULL, predictions INTEGER NOT NULL,
        PRIMARY KEY (minute, model_id, label)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE latency (
        minute INTEGER NOT NULL, model_id INTEGER NOT NULL, stage INTEGER NOT NULL, bucket INTEGER NOT NULL,
        predictions INTEGER NOT NULL, PRIMARY KEY (minute, model_id, stage, bucket)
    ) STRICT, WITHOUT ROWID""",
    # Written only to learn whether the disk takes bytes again.
    "CREATE TABLE probe (bytes BLOB NOT NULL) STRICT",
)

# Answers are told apart by revision and experiment too, under the ids that they had, and labelled ones are judged.
_SECOND = (
    # A judgement begins where its canary began: at the time of its first call, and after the last outcome then.
    """CREATE TABLE sources (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, digest TEXT NOT NULL,
        revision TEXT NOT NULL, experiment TEXT NOT NULL, arm TEXT NOT NULL,
        began_at INTEGER NOT NULL, began_after INTEGER NOT NULL,
        UNIQUE (name, digest, version, revision, experiment, arm)
    ) STRICT""",
    """INSERT INTO sources SELECT id, name, version, digest, '', '', '',
        coalesce((SELECT min(minute) * 60000000 FROM traffic WHERE model_id = id), 0), 0 FROM models""",
    "DROP TABLE models",
    "ALTER TABLE sources RENAME TO models",
    # One row per call, in the order in which its first label met its prediction. Rows are never changed, so what was
    # concluded from the first of them stays concluded. A call is known by its time and trace, not by a prediction:
    # pictures of one call come from one hand, and are one observation.
    """CREATE TABLE outcomes (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, model_id INTEGER NOT NULL, made_at INTEGER NOT NULL,
        trace_id BLOB NOT NULL, success INTEGER NOT NULL, UNIQUE (made_at, trace_id)
    ) STRICT""",
    "CREATE INDEX outcomes_by_model ON outcomes (model_id)",
    # Of a label that was corrected only the last one is known here, and when that came.
    """INSERT OR IGNORE INTO outcomes (model_id, made_at, trace_id, success)
        SELECT model_id, made_at, coalesce(trace_id, x''), actual = predictions.label
        FROM predictions JOIN feedback ON prediction_id = id WHERE actual IS NOT NULL ORDER BY received_at, id""",
)

# Answers of a shadow against stable's; like outcomes they are never changed, and are read in the order they came in.
_THIRD = (
    """CREATE TABLE pairs (
        id INTEGER PRIMARY KEY, model TEXT NOT NULL, stable TEXT NOT NULL, shadow TEXT NOT NULL,
        UNIQUE (stable, shadow, model)
    ) STRICT""",
    """CREATE TABLE comparisons (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, made_at INTEGER NOT NULL,
        pair_id INTEGER NOT NULL, failed INTEGER NOT NULL, labels_differ INTEGER NOT NULL,
        tensors_differ INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX comparisons_by_pair ON comparisons (pair_id)",
    "CREATE INDEX comparisons_by_time ON comparisons (made_at)",
    """CREATE TABLE compared_tensors (
        sequence INTEGER NOT NULL, name TEXT NOT NULL, differs INTEGER NOT NULL, largest_difference REAL,
        PRIMARY KEY (sequence, name)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TRIGGER tensors_go_with_their_comparison AFTER DELETE ON comparisons
        BEGIN DELETE FROM compared_tensors WHERE sequence = old.sequence; END""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD)


class SchemaTooNew(Exception):
    """The file was written by a later release than this one."""


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the schema of a file, 0 for an empty one; raises SchemaTooNew."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise SchemaTooNew(f"schema {version} is newer than {len(MIGRATIONS)}, the newest that this release knows")
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, each step in a transaction of its own."""
    version = schema_version(connection)
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
