"""The comparisons that the page draws: the newest digest, revision or arm against the one before, and shadows."""

import sqlite3
from collections import Counter

from monitoring import history
from monitoring.comparisons import Pair, pairs
from monitoring.judgement_api import ACCURACY_LIMITS, DISAGREEMENT_LIMITS, accuracy_json, disagreement_json
from monitoring.judgements import Sides, Trail, judge_accuracy, judge_disagreement
from monitoring.overview import Choice, Json, scope_of
from monitoring.queries import Scope
from monitoring.sources import PARTS, Source, sources

_MOST_SHADOWS = 3


def side_by_side(connection: sqlite3.Connection, choice: Choice) -> Json:
    """Return the judgements of whatever was asked in the window beside something else, with how they came about."""
    known = sources(connection)
    traffic = history.traffic_by_source(connection, Scope(choice.since, choice.now))
    model, scope = scope_of(choice, known, traffic)
    answered = {number: traffic[number].predictions for number in scope.model_ids or () if number in traffic}
    judged = {by: _judged(connection, sides) for by in PARTS if (sides := sides_of(by, model, known, answered))}
    found = pairs(connection, model, since=choice.since, most=_MOST_SHADOWS)
    return {"model": model, "accuracy": judged, "shadows": [_shadow(connection, pair) for pair in found]}


def sides_of(by: str, model: str, known: dict[int, Source], answered: dict[int, int]) -> Sides | None:
    """Return who came last, against whoever of the others answered most; None without others."""
    counts: Counter[str] = Counter()
    for number in sorted(answered):
        if value := PARTS[by](known[number]):
            counts[value] += answered[number]
    if len(counts) < 2:  # noqa: PLR2004 - it takes two
        return None
    newest = list(counts)[-1]
    others = Counter({value: count for value, count in counts.items() if value != newest})
    return Sides(by, others.most_common(1)[0][0], newest, model=model)


def _judged(connection: sqlite3.Connection, sides: Sides) -> Json:
    trail = Trail()
    judged = judge_accuracy(connection, sides, ACCURACY_LIMITS, trail)
    return {**accuracy_json(judged, sides, ACCURACY_LIMITS), "trail": trail.points}


def _shadow(connection: sqlite3.Connection, pair: Pair) -> Json:
    trail = Trail()
    judged = judge_disagreement(connection, pair, DISAGREEMENT_LIMITS, trail)
    return {**disagreement_json(judged, pair, DISAGREEMENT_LIMITS), "trail": trail.points}
