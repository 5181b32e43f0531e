"""The node's own control group, in every hierarchy this machine mounts."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAME = "fairlead-sandbox"
_GONE_S = 10.0


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted cgroup file system: version 1 with its controllers, or the unified one."""

    mount: Path
    version: int
    controllers: str

    @property
    def group(self) -> Path:
        """The node's group in it."""
        return self.mount / NAME


def hierarchies(mountinfo: str) -> Iterator[Hierarchy]:
    """Read /proc/self/mountinfo; a machine may mount both versions."""
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.partition(" ")
        mount = Path(fields.split()[4])
        if kind == "cgroup2":
            yield Hierarchy(mount, 2, "")
        elif kind == "cgroup":
            yield Hierarchy(mount, 1, mounted_controllers(options.split()[-1]))


def mounted_controllers(options: str) -> str:
    """Return what to mount the same hierarchy with: rw,name=systemd becomes none,name=systemd."""
    names = [name for name in options.split(",") if name not in {"rw", "ro", "xattr", "clone_children"}]
    names = [name for name in names if not name.startswith("release_agent=")]
    named = any(name.startswith("name=") for name in names)
    return ",".join(["none", *names] if named else names)


def of_this_machine() -> list[Hierarchy]:
    """Return the mounted hierarchies."""
    return list(hierarchies(Path("/proc/self/mountinfo").read_text()))


def join(pid: int) -> None:
    """Put a process, and all it will start, into the node's group."""
    for hierarchy in of_this_machine():
        hierarchy.group.mkdir(exist_ok=True)
        if "cpuset" in hierarchy.controllers.split(","):
            # Version 1 refuses processes until a new cpuset says where they may run.
            for name in ("cpuset.cpus", "cpuset.mems"):
                (hierarchy.group / name).write_text((hierarchy.mount / name).read_text())
        (hierarchy.group / "cgroup.procs").write_text(str(pid))


def members() -> set[int]:
    """Return every process of the node, pods included, as this machine numbers them."""
    found: set[int] = set()
    for hierarchy in of_this_machine():
        # Groups come and go meanwhile, and os.walk passes over what is gone.
        for folder, _, _ in os.walk(hierarchy.group):
            with suppress(OSError):
                found.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
    return found - {0}


def remove() -> None:
    """Remove the node's groups, leaves first; its processes have ended."""
    for hierarchy in of_this_machine():
        for folder, _, _ in os.walk(hierarchy.group, topdown=False):
            _remove_empty(Path(folder))


def _remove_empty(folder: Path) -> None:
    # The kernel may hold a group busy for a moment after its last process ended.
    deadline = time.monotonic() + _GONE_S
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
