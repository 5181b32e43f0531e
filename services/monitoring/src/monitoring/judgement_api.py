"""Judgements over HTTP, for a canary analysis to poll: GET, JSON, the same answer until more is known."""

import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

import orjson
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, Violation
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.comparisons import Pair
from monitoring.judgements import OTHERS, AccuracyJudged, DisagreementJudged, Sides, judge_accuracy, judge_disagreement
from monitoring.judging.verdicts import DropJudgement, Limits, RateJudgement, Verdict
from monitoring.overview import Json, proportion_json
from monitoring.reader import Reader
from monitoring.rows import MICROSECONDS
from monitoring.sources import PARTS

# What may be asked beside `stable`, `canary` and `since`: numbers with their defaults.
_ACCURACY = {"tolerated_drop": 0.01, "refused_drop": 0.05, "alpha": 0.01}
_DISAGREEMENT = {"tolerated_rate": 0.02, "refused_rate": 0.05, "alpha": 0.01}
ACCURACY_LIMITS, DISAGREEMENT_LIMITS = (Limits(*defaults.values()) for defaults in (_ACCURACY, _DISAGREEMENT))
_FORMS = {
    "digest": (re.compile(r"sha256:[0-9a-f]{64}"), "sha256: and 64 hexadecimal digits"),
    "revision": (re.compile(r".{1,63}"), "a revision of 1 to 63 characters"),
    "arm": (re.compile(r"[a-z0-9-]{1,40}/[a-z0-9-]{1,40}"), "an experiment and its arm, as in colours/blue"),
}
_NUMBER = re.compile(r"[0-9]{0,9}(?:\.[0-9]{1,9})?")
_MOST_ALPHA = 0.5


def judgement_routes(reader: Reader, *, timeout: float) -> list[Route]:
    """Return the routes below /v1/judgements."""

    async def get_accuracy(request: Request) -> Response:
        asked = _asked(request, "by", "model", **_ACCURACY)
        sides, limits = _sides_of(asked), _limits_of(asked, _ACCURACY)
        judged = await reader.run(lambda connection: judge_accuracy(connection, sides, limits), Deadline.after(timeout))
        return _json(accuracy_json(judged, sides, limits))

    async def get_disagreement(request: Request) -> Response:
        asked = _asked(request, **_DISAGREEMENT)
        pair, limits = _pair_of(asked), _limits_of(asked, _DISAGREEMENT)
        judged = await reader.run(
            lambda connection: judge_disagreement(connection, pair, limits), Deadline.after(timeout)
        )
        return _json(disagreement_json(judged, pair, limits))

    return [
        Route("/v1/judgements/accuracy", get_accuracy),
        Route("/v1/judgements/disagreement", get_disagreement),
    ]


def accuracy_json(judged: AccuracyJudged, sides: Sides, limits: Limits) -> Json:
    """Return a judgement of labels with what it rests on."""
    judgement = judged.judgement
    return {
        "verdict": judged.verdict,
        "reason": _reason(judged),
        "evidence": _evidence(judgement),
        "by": sides.by,
        "stable": {"name": sides.stable, **proportion_json(judgement.stable)},
        "canary": {"name": sides.canary, **proportion_json(judgement.canary)},
        "since": _written(judged.since),
        "limits": _limits_json(limits, _ACCURACY),
    }


def disagreement_json(judged: DisagreementJudged, pair: Pair, limits: Limits) -> Json:
    """Return a judgement of a shadow with what it rests on."""
    judgement = judged.judgement
    return {
        "verdict": judgement.verdict,
        "reason": _disagreement_reason(judgement),
        "evidence": _evidence(judgement),
        "stable": pair.stable,
        "canary": pair.shadow,
        "disagreements": proportion_json(judgement.rate),
        "shadow_failed": judged.shadow_failed,
        "labels_differed": judged.labels_differed,
        "tensors": [asdict(tensor) for tensor in judged.tensors],
        "since": _written(pair.since or None),
        "limits": _limits_json(limits, _DISAGREEMENT),
    }


def _evidence(judgement: DropJudgement | RateJudgement) -> Json:
    return {"abort": judgement.evidence_for_abort, "promote": judgement.evidence_for_promote}


def _limits_json(limits: Limits, names: Iterable[str]) -> Json:
    values = (limits.tolerated, limits.refused, limits.alpha)
    return {**dict(zip(names, values, strict=True)), "evidence_needed": limits.needed}


def _disagreement_reason(judgement: RateJudgement) -> str:
    if judgement.verdict is Verdict.ABORT:
        return "The canary answers otherwise than stable more often than is tolerated."
    if judgement.verdict is Verdict.PROMOTE:
        return "The canary answers otherwise than stable less often than is refused."
    if not judgement.rate.trials:
        return "No answers of these two have been compared yet: does the shadow get requests, and are the names right?"
    return "The answers so far agree with both: that the rate is tolerated, and that it is refused."


def _reason(judged: AccuracyJudged) -> str:
    judgement = judged.judgement
    if judged.alone:
        return "Nobody else answers for this model, so there is nothing to compare with."
    if judgement.verdict is Verdict.ABORT:
        return "The canary's accuracy is lower than stable's by more than is tolerated."
    if judgement.verdict is Verdict.PROMOTE:
        return "The canary's accuracy is not lower than stable's by what is refused."
    for name, side in (("canary", judgement.canary), ("stable", judgement.stable)):
        if not side.trials:
            return f"No labelled call of {name} yet: is feedback being given, and is the name right?"
    return "The labels so far agree with both: that the canary is as good as is tolerated, and that it is not."


def _asked(request: Request, *names: str, **numbers: float) -> dict[str, str]:
    known = {"stable", "canary", "since", *names, *numbers}
    asked = dict(request.query_params)
    for name in asked.keys() - known:
        raise _invalid(name[:40], f"is not known here; there are {', '.join(sorted(known))}")
    return asked


def _sides_of(asked: dict[str, str]) -> Sides:
    by = asked.get("by", "digest")
    if by not in PARTS:
        raise _invalid("by", f"must be one of {', '.join(PARTS)}")
    stable, canary = _names_of(asked, by, OTHERS)
    return Sides(by, stable, canary, model=asked.get("model", ""), since=_moment(asked.get("since", "")))


def _pair_of(asked: dict[str, str]) -> Pair:
    stable, shadow = _names_of(asked, "digest")
    return Pair(stable, shadow, since=_moment(asked.get("since", "")) or 0)


def _names_of(asked: dict[str, str], by: str, stand_in: str = "") -> tuple[str, str]:
    form, meaning = _FORMS[by]
    for name in ("stable", "canary"):
        stands_in = name == "stable" and stand_in and asked.get(name) == stand_in
        if not stands_in and not form.fullmatch(asked.get(name, "")):
            raise _invalid(name, f"must be {meaning}")
    if asked["stable"] == asked["canary"]:
        raise _invalid("canary", f"is the {by} of stable: nothing is to be compared")
    return asked["stable"], asked["canary"]


def _limits_of(asked: dict[str, str], defaults: dict[str, float]) -> Limits:
    tolerated_name, refused_name, _ = defaults
    tolerated, refused, alpha = (_number(name, asked.get(name), default) for name, default in defaults.items())
    # A rate of 0 is refuted by a single occurrence, whatever alpha: nobody means that.
    if not tolerated < 1 or (tolerated == 0 and defaults is _DISAGREEMENT):
        raise _invalid(tolerated_name, "must lie between 0 and 1: 0.01 is one in a hundred")
    if not tolerated <= refused < 1:
        raise _invalid(refused_name, f"must lie between {tolerated_name} and 1: 0.05 is five in a hundred")
    if not 0 < alpha <= _MOST_ALPHA:
        raise _invalid("alpha", f"must lie above 0 and be at most {_MOST_ALPHA}: 0.01 is one wrong verdict in 100")
    return Limits(tolerated, refused, alpha)


def _number(name: str, text: str | None, default: float) -> float:
    if text is None:
        return default
    if not text or not _NUMBER.fullmatch(text):
        raise _invalid(name, "must be a decimal number, as in 0.05")
    return float(text)


def _moment(text: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _invalid("since", "must be a moment with its time zone, as in 2026-01-31T12:00:00Z")
    return int(moment.timestamp() * MICROSECONDS)


def _written(moment: int | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment / MICROSECONDS, UTC).isoformat()


def _json(content: Json) -> Response:
    return Response(orjson.dumps(content), headers={"cache-control": "no-store"}, media_type="application/json")


def _invalid(field: str, description: str) -> InvalidInput:
    return InvalidInput(f"{field} {description}.", violations=(Violation(field, description),))
