"""What processes cost, read from /proc: CPU time, memory, and who else uses the machine."""

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024
# Fields of /proc/PID/stat after the name, which may itself hold spaces and brackets.
_PARENT, _USER, _SYSTEM = 1, 11, 12
# Columns of the cpu line of /proc/stat that are no work: idle and iowait.
_IDLE_COLUMNS = (3, 4)
_COUNTED_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes: all of it, and with shared pages divided among their users."""

    rss: int
    pss: int


def tree(root: int) -> list[int]:
    """Return `root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*"):
        if fields := _stat(int(entry.name)):
            children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending.extend(children.get(pid, ()))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the user and system time that these processes have used so far."""
    return sum(int(fields[_USER]) + int(fields[_SYSTEM]) for pid in pids if (fields := _stat(pid))) / _TICKS


def memory(pids: Iterable[int]) -> Memory:
    """Return what these processes hold together."""
    totals = {"Rss": 0, "Pss": 0}
    for pid in pids:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
            name, _, rest = line.partition(":")
            if name in totals:
                totals[name] += int(rest.split()[0]) * _KIB
    return Memory(rss=totals["Rss"], pss=totals["Pss"])


def machine_busy_seconds() -> float:
    """Return how long all cores have worked so far, for anybody, time stolen by the hypervisor included."""
    columns = (_PROC / "stat").read_text().partition("\n")[0].split()[1:]
    counted = enumerate(columns[:_COUNTED_COLUMNS])
    return sum(int(value) for at, value in counted if at not in _IDLE_COLUMNS) / _TICKS


def finished_children_seconds() -> float:
    """Return the CPU time of this process's children that have ended, as generators do."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _stat(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return []
