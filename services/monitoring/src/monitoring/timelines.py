"""Who answered how much and how well, over time: what shows a canary's weight and whether its answers are right."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitoring import history, queries
from monitoring.quality import Proportion
from monitoring.queries import Scope
from monitoring.sources import PARTS, Source

MOST_VALUES = 4
OLDER = ""
"""Bears the figures of whoever is not among the newest."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Answers, and accuracy of those with feedback, per step, of one digest, revision or arm."""

    value: str
    traffic: list[tuple[int, int]]
    accuracy: list[tuple[int, Proportion]]


def timelines(
    connection: sqlite3.Connection, scope: Scope, known: Mapping[int, Source], *, step: int
) -> dict[str, list[Timeline]]:
    """Return, for each part that sources are told apart by, the newest values, oldest of them first, then the rest."""
    traffic = history.traffic_over_time_by_source(connection, scope, step=step)
    labelled = queries.accuracy_over_time_by_source(connection, scope, step=step)
    return {
        part: [_timeline(value, numbers, traffic, labelled) for value, numbers in _groups(part, known, traffic)]
        for part in PARTS
    }


def _groups(part: str, known: Mapping[int, Source], traffic: Mapping[int, object]) -> list[tuple[str, list[int]]]:
    """Return which sources share a value; by their first appearance, which gives each a place that it keeps."""
    groups: dict[str, list[int]] = {}
    for number in sorted(traffic):
        if value := PARTS[part](known[number]):
            groups.setdefault(value, []).append(number)
    values = list(groups)
    newest = [(value, groups[value]) for value in values[-MOST_VALUES:]]
    older = [number for value in values[:-MOST_VALUES] for number in groups[value]]
    unnamed = [number for number in sorted(traffic) if not PARTS[part](known[number])] if values else []
    return [*newest, *([(OLDER, older + unnamed)] if older or unnamed else [])]


def _timeline(
    value: str,
    numbers: Iterable[int],
    traffic: Mapping[int, list[tuple[int, int]]],
    labelled: Mapping[int, list[tuple[int, int, int]]],
) -> Timeline:
    answers: Counter[int] = Counter()
    judged: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for number in numbers:
        answers.update(dict(traffic.get(number, ())))
        for at, right, count in labelled.get(number, ()):
            judged[at][0] += right
            judged[at][1] += count
    return Timeline(value, sorted(answers.items()), [(at, Proportion(*judged[at])) for at in sorted(judged)])
