"""Reads the lines that Triton and its stubs print."""

import re
from dataclasses import dataclass
from enum import IntEnum

_GLOG = re.compile(r'(?P<letter>[IWEF])\d{4} [\d:.]+ \d+ (?P<source>[\w.]+:\d+)\] *"?(?P<text>.*?)"?')
# Said on every machine without a GPU.
_EXPECTED = re.compile("CudaDriverHelper has not been initialized|Unable to allocate pinned system memory|NVML|DCGM")


class Severity(IntEnum):
    """The levels of the logging module."""

    DEBUG = 10
    WARNING = 30
    ERROR = 40


_SEVERITIES = {"I": Severity.DEBUG, "W": Severity.WARNING, "E": Severity.ERROR, "F": Severity.ERROR}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line: how bad it is and what it says."""

    severity: Severity
    text: str


def read_line(line: str) -> LogEntry:
    """Return the line's severity and text; what Triton calls info is debug to us, for it narrates."""
    match = _GLOG.fullmatch(line)
    if match is None:
        return LogEntry(Severity.ERROR if line.startswith("error:") else Severity.DEBUG, line)
    severity = Severity.DEBUG if _EXPECTED.search(line) else _SEVERITIES[match["letter"]]
    return LogEntry(severity, match["text"])
