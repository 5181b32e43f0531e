"""Rollouts as lines for a person, none longer than a terminal is wide."""

import re
from collections.abc import Iterator, Mapping, Sequence

from delivery.rollouts.analyses import Analysis, Metric
from delivery.rollouts.read import Revision, Rollout

WIDTH = 80
_VALUES = 5
_VERDICTS = {"Successful": "good", "Failed": "BAD", "Error": "ERROR", "Inconclusive": "UNSURE", "Running": "..."}
# As a terminal shows them; elsewhere there are no colours.
_COLOURS = {"healthy": 32, "aborted": 31, "degraded": 31, "canary": 33, "held": 33, "paused": 33}


def lines(found: Sequence[Rollout], proposals: Mapping[str, str], *, width: int = WIDTH) -> Iterator[str]:
    """Return the picture of all rollouts; proposals names the branch with the revert of an aborted one."""
    for number, rollout in enumerate(found):
        if number:
            yield ""
        yield from (fitting(line, width) for line in _rollout(rollout, proposals.get(rollout.service, "")))


def summary(rollout: Rollout) -> str:
    """Return one rollout in one line."""
    weight = "" if rollout.weight is None or not rollout.canary else f"{rollout.weight:>3} %"
    said = rollout.step if rollout.under_way or rollout.phase == "held" else ""
    return f"{rollout.service:<14} {rollout.phase:<9} {weight:>5}  {said}".rstrip()


def fitting(line: str, width: int) -> str:
    """Cut a line that is too long, and show that it was."""
    return line if len(line) <= width else f"{line[: width - 1]}~"


def coloured(line: str) -> str:
    """Colour the phase in the line of a rollout and verdicts that are bad."""
    if line and not line.startswith(" "):
        service, phase, *rest = re.split(r"(?<=\S) +", line, maxsplit=2)
        colour = _COLOURS.get(phase, 39)
        return f"\x1b[1m{service:<14}\x1b[0m \x1b[{colour}m{phase:<9}\x1b[0m {''.join(rest)}".rstrip()
    return re.sub(r" (BAD|ERROR|UNSURE) ", " \x1b[31m\\1\x1b[0m ", line, count=1)


def _rollout(rollout: Rollout, proposal: str) -> Iterator[str]:
    yield summary(rollout)
    yield _revision("stable", rollout.stable)
    if rollout.canary:
        yield _revision("canary", rollout.canary)
    if rollout.weight is not None and rollout.intended is not None and rollout.weight != rollout.intended:
        yield f"  weight is {rollout.weight} %, Argo Rollouts wants {rollout.intended} %"
    for route in rollout.lost_routes:
        yield f"  route {route} is gone, stable answers: abort and retry set it again"
    if rollout.canary:
        for analysis in _shown(rollout.analyses):
            yield from _analysis(analysis)
    if rollout.message and rollout.phase not in {"healthy", "canary", "held"}:
        yield from _wrapped(rollout.message)
    if proposal:
        yield "  a revert is proposed; see and apply it:"
        yield f"    git fetch sandbox && git show sandbox/{proposal}"
        yield f"    git push sandbox sandbox/{proposal}:main"


def _revision(role: str, revision: Revision) -> str:
    return f"  {role:<7} {revision.hash or 'none':<11} {revision.runs}".rstrip()


def _shown(analyses: Sequence[Analysis]) -> list[Analysis]:
    """Return what is under way or went wrong; of what went well the last one, while nothing else is there."""
    return [each for each in analyses if each.failed or not each.over] or list(analyses[-1:])


def _analysis(analysis: Analysis) -> Iterator[str]:
    yield f"  analysis {analysis.name}: {analysis.phase.lower()}"
    width = max((len(metric.name) for metric in analysis.metrics), default=0)
    for metric in analysis.metrics:
        yield _metric(metric, width)
        if metric.message and metric.phase in {"Error", "Failed"}:
            yield f"      {metric.message}"


def _metric(metric: Metric, width: int) -> str:
    counts = ((metric.good, "good"), (metric.bad, "bad"), (metric.unsure, "unsure"), (metric.errors, "errors"))
    counted = ", ".join(f"{count} {word}" for count, word in counts if count)
    verdict = _VERDICTS.get(metric.phase, "...")
    return f"    {metric.name:<{width}}  {verdict:<6} {' '.join(metric.values[-_VALUES:])}  ({counted or 'not yet'})"


def _wrapped(text: str) -> Iterator[str]:
    """Break a message at spaces: it says why, so nothing of it is cut."""
    line = "  >"
    for word in text.split():
        if len(line) + 1 + len(word) > WIDTH and line.strip() != ">":
            yield line
            line = "   "
        line = f"{line} {word}"
    yield line
