"""The shared memory between Triton and the programs that run its models: a killed Triton leaves it behind."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path("/dev/shm")  # noqa: S108 - where the Python backend keeps it
_OURS = "fairlead-triton-"


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """The regions of the Triton of one launcher, told apart by the launcher's process id."""

    pid: int

    @property
    def prefix(self) -> str:
        """What the names of the regions begin with."""
        return f"{_OURS}{self.pid}-"

    def remove(self) -> None:
        """Remove the regions, when nobody uses them any more."""
        for region in _FOLDER.glob(f"{self.prefix}*"):
            with contextlib.suppress(PermissionError):  # another user's
                region.unlink(missing_ok=True)

    def remove_abandoned(self) -> None:
        """Remove what launchers left that were killed; in a container they all had this launcher's process id."""
        owners = {int(region.name.removeprefix(_OURS).partition("-")[0]) for region in _FOLDER.glob(f"{_OURS}*")}
        for owner in owners:
            if owner == self.pid or not _is_running(owner):
                SharedMemory(owner).remove()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
