"""Judgements over HTTP, for a canary analysis to poll: GET, JSON, the same answer until there are more labels."""

import re
from datetime import UTC, datetime

import orjson
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, Violation
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitoring.judgements import AccuracyJudged, Sides, judge_accuracy
from monitoring.judging.verdicts import Limits, Verdict
from monitoring.overview import Json, proportion_json
from monitoring.reader import Reader
from monitoring.rows import MICROSECONDS
from monitoring.sources import PARTS

_DEFAULTS = {"tolerated_drop": 0.01, "refused_drop": 0.05, "alpha": 0.01}
_NAMES = {"by", "stable", "canary", "model", "since", *_DEFAULTS}
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
        asked = dict(request.query_params)
        _refuse_unknown(asked)
        sides, limits = _sides_of(asked), _limits_of(asked)
        judged = await reader.run(lambda connection: judge_accuracy(connection, sides, limits), Deadline.after(timeout))
        body = orjson.dumps(_accuracy(judged, sides, limits))
        return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")

    return [Route("/v1/judgements/accuracy", get_accuracy)]


def _accuracy(judged: AccuracyJudged, sides: Sides, limits: Limits) -> Json:
    judgement = judged.judgement
    return {
        "verdict": judgement.verdict,
        "reason": _reason(judged),
        "evidence": {
            "abort": judgement.evidence_for_abort,
            "promote": judgement.evidence_for_promote,
            "needed": limits.needed,
        },
        "by": sides.by,
        "stable": {"name": sides.stable, **proportion_json(judgement.stable)},
        "canary": {"name": sides.canary, **proportion_json(judgement.canary)},
        "since": _written(judged.since),
        "limits": {"tolerated_drop": limits.tolerated, "refused_drop": limits.refused, "alpha": limits.alpha},
    }


def _reason(judged: AccuracyJudged) -> str:
    judgement = judged.judgement
    if judgement.verdict is Verdict.ABORT:
        return "The canary's accuracy is lower than stable's by more than is tolerated."
    if judgement.verdict is Verdict.PROMOTE:
        return "The canary's accuracy is not lower than stable's by what is refused."
    for name, side in (("canary", judgement.canary), ("stable", judgement.stable)):
        if not side.trials:
            return f"No labelled call of {name} yet: is feedback being given, and is the name right?"
    return "The labels so far agree with both: that the canary is as good as is tolerated, and that it is not."


def _refuse_unknown(asked: dict[str, str]) -> None:
    for name in asked.keys() - _NAMES:
        raise _invalid(name[:40], f"is not known here; there are {', '.join(sorted(_NAMES))}")


def _sides_of(asked: dict[str, str]) -> Sides:
    by = asked.get("by", "digest")
    if by not in PARTS:
        raise _invalid("by", f"must be one of {', '.join(PARTS)}")
    form, meaning = _FORMS[by]
    for name in ("stable", "canary"):
        if not form.fullmatch(asked.get(name, "")):
            raise _invalid(name, f"must be {meaning}")
    if asked["stable"] == asked["canary"]:
        raise _invalid("canary", f"is the {by} of stable: nothing is to be compared")
    return Sides(
        by, asked["stable"], asked["canary"], model=asked.get("model", ""), since=_moment(asked.get("since", ""))
    )


def _limits_of(asked: dict[str, str]) -> Limits:
    tolerated, refused, alpha = (_number(name, asked.get(name)) for name in _DEFAULTS)
    if not tolerated < 1:
        raise _invalid("tolerated_drop", "must lie below 1: 0.01 is one point")
    if not tolerated <= refused < 1:
        raise _invalid("refused_drop", "must lie between tolerated_drop and 1: 0.05 is five points")
    if not 0 < alpha <= _MOST_ALPHA:
        raise _invalid("alpha", f"must lie above 0 and be at most {_MOST_ALPHA}: 0.01 is one wrong verdict in 100")
    return Limits(tolerated, refused, alpha)


def _number(name: str, text: str | None) -> float:
    if text is None:
        return _DEFAULTS[name]
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


def _invalid(field: str, description: str) -> InvalidInput:
    return InvalidInput(f"{field} {description}.", violations=(Violation(field, description),))
