"""Questions to the database, each answered from an index or from the counts per minute."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from fairlead.events.v1.events_pb2 import FeedbackGiven, ModelRef, PredictionMade

from monitoring.paging import Cursor
from monitoring.quality import CALIBRATION_BINS, Proportion, Quality, Tally, quality_of
from monitoring.rows import PREDICTION_COLUMNS, feedback_from_row, from_row
from monitoring.sources import Source, sources


@dataclass(frozen=True, slots=True)
class Scope:
    """Which predictions are meant: a half-open window in microseconds, and ids of sources (None: all)."""

    since: int
    until: int
    model_ids: tuple[int, ...] | None = None

    def where(self, time_column: str = "made_at", *, unit: int = 1) -> str:
        """Return the SQL condition; every value in it is an integer of ours."""
        condition = f"{time_column} >= {self.since // unit} AND {time_column} < {-(-self.until // unit)}"
        if self.model_ids is None:
            return condition
        # With an empty list SQLite drops the index that INDEXED BY insists on, and fails; no source has this id.
        return f"{condition} AND model_id IN ({','.join(map(str, self.model_ids or (-1,)))})"


@dataclass(frozen=True, slots=True)
class DigestQuality:
    """The quality of one model digest, whatever version numbers it was served under."""

    model: ModelRef
    predictions: int
    quality: Quality


def qualities(connection: sqlite3.Connection, scope: Scope, refs: dict[int, Source]) -> list[DigestQuality]:
    """Return the quality per digest with any prediction in the window."""
    counts: dict[int, int] = dict(
        connection.execute(
            f"SELECT model_id, count(*) FROM predictions WHERE {scope.where()} GROUP BY model_id"  # noqa: S608 - integers
        ).fetchall()
    )
    return _by_digest(refs, counts, tallies_by_source(connection, scope))


def labelled_qualities(refs: dict[int, Source], tallies: dict[int, list[Tally]]) -> list[DigestQuality]:
    """Return the quality per digest with any feedback; only labelled predictions are looked at."""
    counts = {number: sum(tally.count for tally in found) for number, found in tallies.items()}
    return _by_digest(refs, counts, tallies)


def _by_digest(refs: dict[int, Source], counts: dict[int, int], tallies: dict[int, list[Tally]]) -> list[DigestQuality]:
    """Return one entry per digest, newest digest first, under its newest version."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number in sorted(counts.keys() & refs.keys(), reverse=True):
        groups.setdefault((refs[number].name, refs[number].digest), []).append(number)
    return [
        DigestQuality(
            refs[numbers[0]].model,
            predictions=sum(counts[number] for number in numbers),
            quality=quality_of(tally for number in numbers for tally in tallies.get(number, ())),
        )
        for numbers in groups.values()
    ]


def tallies_by_source(connection: sqlite3.Connection, scope: Scope) -> dict[int, list[Tally]]:
    """Return the labelled predictions of the window, counted."""
    rows = connection.execute(
        f"""SELECT model_id, label, actual,
            min(CAST(confidence * {CALIBRATION_BINS} AS INTEGER), {CALIBRATION_BINS - 1}) AS bin,
            count(*), total(confidence) FROM predictions INDEXED BY judged_by_time
            WHERE actual IS NOT NULL AND {scope.where()} GROUP BY model_id, label, actual, bin"""  # noqa: S608 - integers
    )
    tallies: defaultdict[int, list[Tally]] = defaultdict(list)
    for model_id, *tally in rows:
        tallies[model_id].append(Tally(*tally))
    return dict(tallies)


def accuracy_over_time(connection: sqlite3.Connection, scope: Scope, *, step: int) -> list[tuple[int, Proportion]]:
    """Return the accuracy per step of microseconds, where anything was labelled."""
    rows = connection.execute(
        f"""SELECT made_at / {step} * {step}, sum(actual = label), count(*) FROM predictions INDEXED BY judged_by_time
            WHERE actual IS NOT NULL AND {scope.where()} GROUP BY 1 ORDER BY 1"""  # noqa: S608 - integers
    )
    return [(start, Proportion(right, count)) for start, right, count in rows]


def accuracy_over_time_by_source(
    connection: sqlite3.Connection, scope: Scope, *, step: int
) -> dict[int, list[tuple[int, int, int]]]:
    """Return for each source the steps in which anything was labelled, and of how much how much was right."""
    rows = connection.execute(
        f"""SELECT model_id, made_at / {step} * {step}, sum(actual = label), count(*)
            FROM predictions INDEXED BY judged_by_time
            WHERE actual IS NOT NULL AND {scope.where()} GROUP BY 1, 2"""  # noqa: S608 - integers
    )
    found: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for number, *step_of_it in rows:
        found[number].append((step_of_it[0], step_of_it[1], step_of_it[2]))
    return dict(found)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of predictions with their feedback; `next_from` is where the following one starts."""

    items: list[tuple[PredictionMade, FeedbackGiven | None]]
    next_from: Cursor | None


def newest(
    connection: sqlite3.Connection,
    scope: Scope,
    *,
    size: int,
    start: Cursor | None = None,
    mistakes_only: bool = False,
) -> Page:
    """Return predictions of the window, newest first, from `start` (made_at and id of the last one seen) on."""
    conditions = [scope.where()]
    if mistakes_only:
        conditions.append("actual IS NOT NULL AND actual <> label")
    if start:
        conditions.append("(made_at, id) < (:made_at, :id)")
    index = "judged_by_time" if mistakes_only else "predictions_by_time"
    keys = connection.execute(
        f"""SELECT id FROM predictions INDEXED BY {index} WHERE {" AND ".join(conditions)}
            ORDER BY made_at DESC, id DESC LIMIT :limit""",  # noqa: S608 - names and integers of ours
        {"limit": size + 1, **(dict(zip(("made_at", "id"), start, strict=True)) if start else {})},
    ).fetchall()
    items = list(_load(connection, [key for (key,) in keys[:size]]))
    if len(keys) <= size or not items:
        return Page([item for _, item in items], None)
    return Page([item for _, item in items], items[-1][0])


def _load(
    connection: sqlite3.Connection, identifiers: Iterable[bytes]
) -> Iterable[tuple[Cursor, tuple[PredictionMade, FeedbackGiven | None]]]:
    refs = sources(connection)
    specs = {row[0]: (row[1], row[2]) for row in connection.execute("SELECT id, name, digest FROM feature_specs")}
    for identifier in identifiers:
        row = connection.execute(f"SELECT {PREDICTION_COLUMNS} FROM predictions WHERE id = ?", (identifier,)).fetchone()  # noqa: S608
        feedback = connection.execute(
            "SELECT prediction_id, label, source, given_at FROM feedback WHERE prediction_id = ?", (identifier,)
        ).fetchone()
        prediction = from_row(row, refs[row[2]], specs[row[5]])
        yield (row[1], identifier), (prediction, feedback_from_row(*feedback) if feedback else None)
