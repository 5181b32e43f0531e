"""Simulate canaries and print how they were judged: python -m monitoring.judging."""

import argparse
import sys
import time

from monitoring.judging.simulation import scenarios, simulate
from monitoring.judging.verdicts import Verdict


def main() -> None:
    """Print one line per scenario, each as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.judging", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="simulated canaries per line (1000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same table (1)")
    asked = parser.parse_args()
    columns = ("canary", "tolerated, refused", *Verdict, "its observations: median, nine in ten")
    print(f"| {' | '.join(columns)} |")
    print("| --- | --- | --- | --- | --- | --- |")
    started = time.monotonic()
    for scenario in scenarios():
        summary = simulate(scenario, runs=asked.runs, seed=asked.seed)
        counts = " | ".join(str(summary.verdicts[verdict]) for verdict in Verdict)
        limits = f"{scenario.limits.tolerated * 100:.0f} %, {scenario.limits.refused * 100:.0f} %"
        print(f"| {scenario.name} | {limits} | {counts} | {summary.median:,}, {summary.ninth_decile:,} |", flush=True)
        if sys.stderr.isatty():
            print(f"{time.monotonic() - started:.0f} s", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
