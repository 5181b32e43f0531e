"""python -m loadtests.bench: measure, print, and write loadtests/bench/results.md."""

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path

from local_stack.settings import ROOT

from loadtests.bench.accounting import memory
from loadtests.bench.contenders import Contender, contenders, verify
from loadtests.bench.measuring import rounds
from loadtests.bench.overload import overload
from loadtests.bench.results import Measured, render
from loadtests.bench.servers import FAIRLEAD, Servers, running
from loadtests.bench.targets import NATIVE

_RESULTS = ROOT / "loadtests" / "bench" / "results.md"
_RAW = ROOT / "artifacts" / "bench"
_OVERLOADED = (NATIVE, "Fairlead, OIP REST binary")
_CORES_NEEDED = 2


def main() -> int:
    """Run the bench; its arguments say how long."""
    parser = argparse.ArgumentParser(prog="loadtests.bench", description="Measure Fairlead beside its peers.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender is measured (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement (default 2)")
    parser.add_argument("--output", type=Path, default=_RESULTS, help="where the table is written")
    arguments = parser.parse_args()
    if missing := [program for program in ("h2load", "taskset") if shutil.which(program) is None]:
        print(
            f"{', '.join(missing)} not found. On Debian or Ubuntu: apt install nghttp2-client util-linux",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as servers:
        measured = _measure(servers, count=arguments.rounds, seconds=arguments.seconds)
    page = render(measured)
    arguments.output.write_text(page)
    _save(measured)
    print(f"\n{page}\nWritten to {arguments.output}")
    return 0


def _measure(servers: Servers, *, count: int, seconds: float) -> Measured:
    at_rest = {name: memory(servers.pids([name])) for name in servers.groups}
    competing = contenders(servers)
    sizes = verify(competing)
    print(f"{len(competing)} contenders give the same answers. One caller:", flush=True)
    one = rounds(competing, servers, sizes, callers=1, count=count, seconds=seconds / 2)
    print("Sixteen callers:", flush=True)
    sixteen = rounds(competing, servers, sizes, callers=16, count=count, seconds=seconds)
    loaded = {name: memory(servers.pids([name])) for name in servers.groups}
    print("Overload:", flush=True)
    overloads = {each.name: overload(each, seconds=2 * seconds) for each in _overloaded(competing)}
    return Measured(competing, one, sixteen, at_rest, loaded, FAIRLEAD, overloads)


def _overloaded(competing: list[Contender]) -> list[Contender]:
    return [each for each in competing if each.name in _OVERLOADED]


def _save(measured: Measured) -> None:
    _RAW.mkdir(parents=True, exist_ok=True)
    raw = {
        "one": {name: [dataclasses.asdict(each) for each in samples] for name, samples in measured.one.items()},
        "sixteen": {name: [dataclasses.asdict(each) for each in samples] for name, samples in measured.sixteen.items()},
        "overload": {name: dataclasses.asdict(each) for name, each in measured.overloads.items()},
    }
    (_RAW / "samples.json").write_text(json.dumps(raw, indent=1))


if __name__ == "__main__":
    sys.exit(main())
