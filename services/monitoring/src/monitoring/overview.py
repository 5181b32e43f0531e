"""Everything that the page shows, as JSON values."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from fairlead.events.v1.events_pb2 import CallerKind, FeedbackGiven, PredictionMade
from service_runtime.errors import InvalidInput, NotFound, Violation

from monitoring import history, queries
from monitoring.paging import Cursor
from monitoring.quality import Proportion, Quality, label_key, quality_of
from monitoring.queries import Scope
from monitoring.rows import MINUTE, to_microseconds
from monitoring.sources import PARTS, Source, sources
from monitoring.splits import Split, splits
from monitoring.timelines import Timeline, timelines

Json = dict[str, object]

_HOUR = 60 * MINUTE
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Window:
    """A choice of the page: how far it looks back, and how far apart the points of its charts lie."""

    width: int
    step: int


WINDOWS = {
    "15m": Window(15 * MINUTE, MINUTE),
    "1h": Window(_HOUR, MINUTE),
    "6h": Window(6 * _HOUR, 5 * MINUTE),
    "24h": Window(_DAY, 20 * MINUTE),
    "7d": Window(7 * _DAY, 2 * _HOUR),
    "30d": Window(30 * _DAY, 8 * _HOUR),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the page asks about: a window until `now`, a model (empty: the one asked last) and parts of it (empty: all).

    `arm` is an experiment and an arm of it, as in "colours/blue".
    """

    window: Window
    now: int
    model: str = ""
    digest: str = ""
    revision: str = ""
    arm: str = ""

    @property
    def since(self) -> int:
        """The start of the first step."""
        return (self.now - self.window.width) // self.window.step * self.window.step

    @property
    def parts(self) -> dict[str, str]:
        """The parts that were chosen."""
        chosen = {"digest": self.digest, "revision": self.revision, "arm": self.arm}
        return {name: value for name, value in chosen.items() if value}

    def takes_in(self, source: Source) -> bool:
        """Whether a source of the chosen model belongs to the chosen parts."""
        return all(PARTS[name](source) == value for name, value in self.parts.items())


def window_named(name: str) -> Window:
    """Return a window by the name that the page uses."""
    window = WINDOWS.get(name)
    if window is None:
        raise InvalidInput(
            f"window must be one of {', '.join(WINDOWS)}.", violations=(Violation("window", f"not '{name[:20]}'"),)
        )
    return window


def overview(connection: sqlite3.Connection, choice: Choice) -> Json:
    """Return totals, series and quality for a choice, and the models to choose from."""
    traffic = history.traffic_by_source(connection, Scope(choice.since, choice.now))
    refs = sources(connection)
    model, scope = scope_of(choice, refs, traffic)
    tallies = queries.tallies_by_source(connection, scope)
    quality = quality_of(tally for found in tallies.values() for tally in found)
    chosen = {number: refs[number] for number in scope.model_ids or ()}
    step = choice.window.step
    return {
        "window": {"since": _ms(choice.since), "until": _ms(choice.now), "step": _ms(step)},
        "model": model,
        "models": _models(refs, traffic),
        "traffic": [[_ms(at), count] for at, count in history.traffic_over_time(connection, scope, step=step)],
        **_latency(connection, scope, step),
        "class_mix": _class_mix(connection, scope),
        "splits": {name: [_split(each) for each in found] for name, found in splits(chosen, traffic, tallies).items()},
        "over_time": {
            part: [_timeline(each) for each in found]
            for part, found in timelines(connection, scope, chosen, step=step).items()
        },
        "accuracy_over_time": [
            {"at": _ms(at), **proportion_json(each)}
            for at, each in queries.accuracy_over_time(connection, scope, step=step)
        ],
        **_quality(quality),
    }


def predictions(
    connection: sqlite3.Connection, choice: Choice, *, mistakes_only: bool, size: int, start: Cursor | None
) -> tuple[list[Json], Cursor | None]:
    """Return one page of predictions, newest first, and where the next one starts."""
    since, refs = choice.now - choice.window.width, sources(connection)
    traffic = {} if choice.model else history.traffic_by_source(connection, Scope(since, choice.now))
    _, scope = scope_of(choice, refs, traffic)
    page = queries.newest(connection, scope, size=size, start=start, mistakes_only=mistakes_only)
    return [_prediction(prediction, feedback) for prediction, feedback in page.items], page.next_from


def scope_of(choice: Choice, refs: dict[int, Source], traffic: dict[int, history.SourceTraffic]) -> tuple[str, Scope]:
    """Return the chosen model and the scope of its digests; quality over different models means nothing."""
    newest = max(traffic, key=lambda number: (traffic[number].last_at, number), default=max(refs, default=0))
    model = choice.model or (refs[newest].name if newest in refs else "")
    ids = tuple(number for number, ref in refs.items() if ref.name == model and choice.takes_in(ref))
    if not ids and (choice.model or choice.parts):
        wanted = "".join(f" with {name} '{value}'" for name, value in choice.parts.items())
        raise NotFound(f"No prediction of model '{model}'{wanted} was ever recorded.")
    return model, Scope(choice.since, choice.now, ids)


def _models(refs: dict[int, Source], traffic: dict[int, history.SourceTraffic]) -> list[Json]:
    return [
        {
            "name": ref.name,
            "version": ref.version,
            "digest": ref.digest,
            "revision": PARTS["revision"](ref),
            "arm": PARTS["arm"](ref),
            "predictions": traffic[number].predictions if number in traffic else 0,
            "last_at": _ms(traffic[number].last_at) if number in traffic else None,
        }
        for number, ref in sorted(refs.items(), reverse=True)
    ]


def _latency(connection: sqlite3.Connection, scope: Scope, step: int) -> Json:
    steps = history.latency_over_time(connection, scope, step=step)
    return {
        "latency": {
            stage: {
                **_percentiles(history.merged([each[stage] for each in steps.values()])),
                "over_time": [{"at": _ms(at), **_percentiles(each[stage])} for at, each in steps.items()],
            }
            for stage in history.STAGES
        }
    }


def _percentiles(histogram: history.Histogram) -> Json:
    return {"p50": history.percentile_ms(histogram, 0.5), "p99": history.percentile_ms(histogram, 0.99)}


def _class_mix(connection: sqlite3.Connection, scope: Scope) -> list[Json]:
    mix = history.class_mix(connection, scope)
    return [{"label": label, "predictions": mix[label]} for label in sorted(mix, key=label_key)]


def _quality(quality: Quality) -> Json:
    return {
        "accuracy": proportion_json(quality.accuracy),
        "classes": [
            {"label": each.label, "precision": proportion_json(each.precision), "recall": proportion_json(each.recall)}
            for each in quality.classes
        ],
        "confusion": [
            {"actual": actual, "predicted": predicted, "count": count}
            for (actual, predicted), count in quality.confusion.items()
        ],
        "calibration": [
            {
                "lower": each.lower,
                "upper": each.upper,
                "count": each.count,
                "mean_confidence": each.mean_confidence,
                "accuracy": each.accuracy,
            }
            for each in quality.calibration
        ],
        "expected_calibration_error": quality.expected_calibration_error,
    }


def _split(split: Split) -> Json:
    return {"value": split.value, "predictions": split.predictions, "accuracy": proportion_json(split.accuracy)}


def _timeline(timeline: Timeline) -> Json:
    return {
        "value": timeline.value,
        "traffic": [[_ms(at), count] for at, count in timeline.traffic],
        "accuracy": [{"at": _ms(at), **proportion_json(each)} for at, each in timeline.accuracy],
    }


def proportion_json(proportion: Proportion) -> Json:
    """Return a share with its interval."""
    lower, upper = proportion.interval or (None, None)
    return {
        "successes": proportion.successes,
        "trials": proportion.trials,
        "value": proportion.value,
        "lower": lower,
        "upper": upper,
    }


def _prediction(prediction: PredictionMade, feedback: FeedbackGiven | None) -> Json:
    return {
        "prediction_id": prediction.prediction_id,
        "made_at": _ms(to_microseconds(prediction.made_at)),
        "model": {
            "name": prediction.model.name,
            "version": prediction.model.version,
            "digest": prediction.model.digest,
        },
        "revision": prediction.revision,
        "label": prediction.label,
        "confidence": max(prediction.probabilities, default=None),
        "features": _rounded(prediction.features),
        "actual": feedback.label if feedback else None,
        "source": feedback.source if feedback else None,
        "trace_id": prediction.trace_id,
        "caller": CallerKind.Name(prediction.caller_kind).removeprefix("CALLER_KIND_").lower(),
        "total_ms": prediction.timings.total_ms,
    }


def _rounded(features: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in features]


def _ms(microseconds: int) -> int:
    return microseconds // 1000
