"""The sandbox's node as a machine whose processes can die."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from sandbox.node import Node
from sandbox.settings import SandboxSettings

from sandbox import cgroups


def daemons(*names: str) -> Mapping[str, int]:
    """Return the processes of the node's daemons that run, by name, as this machine numbers them."""
    running = {_name_of(pid): pid for pid in sorted(cgroups.members(), reverse=True)}
    return {name: running[name] for name in names if name in running}


def kill(*pids: int) -> None:
    """End processes at once, as a lack of memory or power would."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def first_process() -> int:
    """Return the process with which the whole node ends."""
    return Node(SandboxSettings.read()).pid


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
