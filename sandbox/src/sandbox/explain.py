"""Failures of other people's programs, said as what a person can do about them."""

import errno
import re

from sandbox.problem import Problem

_KEPT = "What was built so far is kept: make cluster continues from here."
_DISK_FULL = f"The disk is full. Make room (go clean -cache frees what Go can build again). {_KEPT}"
_AS_ROOT = "Only root may do this: put sudo -E before the command."
_OF_THE_SYSTEM = {errno.ENOSPC: _DISK_FULL, errno.EACCES: _AS_ROOT, errno.EPERM: _AS_ROOT}
_REMEDIES = {
    r"no space left on device|disk quota exceeded": _DISK_FULL,
    r"module version is not available": "The module proxy does not hold this version: another GOPROXY may.",
    (
        r"dial tcp|i/o timeout|no such host|connection refused|temporary failure (in name resolution|resolving)"
        r"|could not resolve|unable to connect to|network is unreachable|failed to fetch|tls handshake timeout"
    ): f"A package registry cannot be reached. Check the network, `go env GOPROXY` and apt. {_KEPT}",
    r"signal: killed|cannot allocate memory": f"The machine ran out of memory. GOMAXPROCS=1 needs less. {_KEPT}",
}


def explained(failure: Exception) -> Problem:
    """Return the failure as a Problem with a remedy, as far as its text tells the cause."""
    if isinstance(failure, OSError):
        return Problem(str(failure), _OF_THE_SYSTEM.get(failure.errno or 0, "Look at: make doctor"))
    if isinstance(failure, Problem) and failure.remedy:
        return failure
    text = str(failure)
    for pattern, remedy in _REMEDIES.items():
        if re.search(pattern, text, re.IGNORECASE):
            return Problem(text, remedy)
    return Problem(text, f"{_KEPT} If it fails again: make doctor")
