"""h2load, the load generator: its command line, its summary and its log of single requests."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

GENERATOR_CORE = 1
_TIMEOUT_SECONDS = 120
_OK = 200
_SUMMARY = re.compile(r"finished in (?P<took>[\d.]+)(?P<unit>us|ms|s), (?P<rate>[\d.]+) req/s")
_DATA = re.compile(r"\((?P<bytes>\d+)\) data")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class GeneratorFailed(Exception):
    """h2load did not do its work; the message holds what it printed."""


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request, as bytes."""

    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    http2: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answered request."""

    status: int
    latency_us: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the generator saw."""

    requests_per_second: float
    seconds: float
    data_bytes: int
    outcomes: tuple[Outcome, ...]

    def latencies_ms(self, status: int = _OK) -> list[float]:
        """Return the sorted latencies of the answers with this status."""
        return sorted(each.latency_us / 1000 for each in self.outcomes if each.status == status)


def closed_loop(call: Call, *, callers: int, requests: int) -> Load:
    """Let `callers` ask one request after the other."""
    return _run(call, ("-c", str(callers), "-n", str(requests)))


def open_loop(call: Call, *, callers: int, rate: float, seconds: float) -> Load:
    """Offer `rate` requests a second, spread over so many callers that some are always free to ask."""
    requests = max(callers, round(rate * seconds))
    return _run(call, ("-c", str(callers), "-n", str(requests), f"--rps={rate / callers:.6f}"))


def version() -> str:
    """Return h2load's name and version."""
    return subprocess.run(["h2load", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def parse(printed: str, log: str) -> Load:
    """Read h2load's summary and its log: start, status and microseconds of each request."""
    summary, data = _SUMMARY.search(printed), _DATA.search(printed)
    if summary is None or data is None:
        raise GeneratorFailed(f"h2load printed no summary:\n{printed}")
    rows = (line.split("\t") for line in log.splitlines())
    return Load(
        requests_per_second=float(summary["rate"]),
        seconds=float(summary["took"]) * _SECONDS[summary["unit"]],
        data_bytes=int(data["bytes"]),
        outcomes=tuple(Outcome(int(status), int(latency)) for _, status, latency in rows),
    )


def _run(call: Call, options: tuple[str, ...]) -> Load:
    with tempfile.TemporaryDirectory() as scratch:
        body, log = Path(scratch, "body"), Path(scratch, "log")
        body.write_bytes(call.body)
        command = ["taskset", "-c", str(GENERATOR_CORE), "h2load", "-t", "1", "-m", "1", *options]
        command += [f"--log-file={log}", "-d", str(body)] + ([] if call.http2 else ["--h1"])
        for name, value in call.headers:
            command += ["-H", f"{name}: {value}"]
        done = subprocess.run(
            [*command, call.url], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
        if done.returncode:
            raise GeneratorFailed(f"h2load ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return parse(done.stdout, log.read_text())
