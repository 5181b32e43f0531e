"""The figures of a model side by side: by digest, by revision, by arm of an experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitoring.history import SourceTraffic
from monitoring.quality import Proportion, Tally
from monitoring.sources import PARTS, Source


@dataclass(frozen=True, slots=True)
class Split:
    """What answers that share a digest, a revision or an arm achieved in the window."""

    value: str
    predictions: int
    accuracy: Proportion


def splits(
    sources: Mapping[int, Source], traffic: Mapping[int, SourceTraffic], tallies: Mapping[int, Sequence[Tally]]
) -> dict[str, list[Split]]:
    """Return, for each part that sources are told apart by, its values with any prediction.

    Digests and revisions come newest first, arms by their names.
    """
    found: dict[str, list[Split]] = {}
    asked = [number for number in sorted(sources, reverse=True) if number in traffic]
    for part, value_of in PARTS.items():
        groups: dict[str, list[int]] = {}
        for number in asked:
            groups.setdefault(value_of(sources[number]), []).append(number)
        found[part] = [_split(value, numbers, traffic, tallies) for value, numbers in groups.items()]
    found["arm"].sort(key=lambda split: split.value)
    return found


def _split(
    value: str,
    numbers: list[int],
    traffic: Mapping[int, SourceTraffic],
    tallies: Mapping[int, Sequence[Tally]],
) -> Split:
    counted = [tally for number in numbers for tally in tallies.get(number, ())]
    return Split(
        value,
        predictions=sum(traffic[number].predictions for number in numbers),
        accuracy=Proportion(
            sum(tally.count for tally in counted if tally.predicted == tally.actual),
            sum(tally.count for tally in counted),
        ),
    )
