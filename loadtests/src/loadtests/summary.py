"""The verdicts as a table for a person."""

import sys
from collections import Counter
from collections.abc import Sequence

from loadtests.recording import ERROR, OK, REFUSED, Observation, judged
from loadtests.slo import FIGURES, Verdict

_SHARES = frozenset({"error_rate", "availability"})
_RED, _GREEN = 31, 32
_MOST_DETAILS = 5


def summary(observations: Sequence[Observation], verdicts: Sequence[Verdict]) -> str:
    """Return the traffic, one line per threshold, what broke, and the verdict."""
    seen = judged(observations)
    lines = [*_traffic(seen), "", *_thresholds(verdicts), *_details(seen), ""]
    breaches = sum(not each.holds for each in verdicts)
    if breaches:
        lines.append(_paint(f"{breaches} of {len(verdicts)} thresholds breached", _RED))
    else:
        lines.append(_paint(f"all {len(verdicts)} thresholds hold", _GREEN))
    return "\n".join(lines)


def _traffic(seen: Sequence[Observation]) -> list[str]:
    lines = [f"  {'request':<20} {'sent':>7} {'right':>7} {'refused':>8} {'errors':>7} {'per second':>11}"]
    seconds = (max(each.seconds for each in seen) - min(each.seconds for each in seen)) if seen else 0
    for kind in sorted({each.kind for each in seen}):
        outcomes = Counter(each.outcome for each in seen if each.kind == kind)
        rate = outcomes.total() / seconds if seconds else 0
        counts = f"{outcomes[OK]:>7} {outcomes[REFUSED]:>8} {outcomes[ERROR]:>7}"
        lines.append(f"  {kind:<20} {outcomes.total():>7} {counts} {rate:>11.1f}")
    return lines


def _thresholds(verdicts: Sequence[Verdict]) -> list[str]:
    lines = [f"  {'request':<20} {'threshold':<14} {'limit':>10} {'measured':>10}"]
    for each in sorted(verdicts, key=lambda verdict: (verdict.kind, FIGURES.index(verdict.figure))):
        shown = "nothing" if each.measured is None else _number(each.figure, each.measured)
        word = _paint("ok", _GREEN) if each.holds else _paint("BREACH", _RED)
        lines.append(f"  {each.kind:<20} {each.figure:<14} {_number(each.figure, each.limit):>10} {shown:>10}  {word}")
    return lines


def _details(seen: Sequence[Observation]) -> list[str]:
    details = Counter((each.kind, each.outcome, each.detail) for each in seen if each.outcome != OK)
    if not details:
        return []
    return ["", "  what went wrong"] + [
        f"  {count:>7} x {kind} {outcome}: {detail}"
        for (kind, outcome, detail), count in details.most_common(_MOST_DETAILS)
    ]


def _number(figure: str, value: float) -> str:
    return f"{value:.2%}" if figure in _SHARES else f"{value:.1f} ms"


def _paint(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if sys.stdout.isatty() else text
