"""The node: a machine of its own inside this one, made of namespaces, that vanishes when its first process ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import cgroups, node_files
from sandbox.commands import output_of, succeeds
from sandbox.node_entry import KEPT_FOLDERS
from sandbox.problem import Problem
from sandbox.removal import remove_tree
from sandbox.settings import HOST_IP, LINK_PREFIX, NODE_IP, SandboxSettings

_LINK = "fairlead0"
_START_S = 20.0
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Node:
    """Start, enter and remove the node whose files lie in the state folder."""

    settings: SandboxSettings

    @property
    def pid(self) -> int:
        """The node's first process as this machine numbers it; 0 when the node does not run."""
        members = cgroups.members()
        return next((pid for pid in sorted(members) if _is_first_process(pid)), 0)

    def other_state(self) -> str:
        """Return the state folder of the node that runs, if it is not ours; empty otherwise."""
        pid = self.pid
        mounts = Path(f"/proc/{pid}/mountinfo").read_text() if pid else ""
        upper = re.search(r"upperdir=(.*?)/node/upper", mounts)
        return "" if not upper or upper[1] == str(self.settings.state) else upper[1]

    def start(self, lower: Path, programs: Sequence[Path]) -> None:
        """Start the node on a root file system, with these programs on its path."""
        self._lay_out(programs)
        self._clear_ruins()
        registry = self.settings.cache / "registry"
        registry.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "sandbox.node_entry",
            "join",
            *map(str, (self.settings.state, lower, registry)),
        ]
        with (self.settings.logs / "node.log").open("ab") as log:
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/")
        self._wait_for_init()
        self._connect()

    def run(self, command: Sequence[str], *, text: str = "", timeout_s: float = 120) -> str:
        """Run a program of the node inside it."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup"]
        path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return output_of([*inside, "--", "env", "-i", path, *command], text=text, timeout_s=timeout_s)

    def remove(self) -> None:
        """End every process of the node, then remove all that is left of it."""
        self._clear_ruins()
        remove_tree(self.settings.state / "node")

    def _lay_out(self, programs: Sequence[Path]) -> None:
        node = self.settings.state / "node"
        for folder in ("root", "upper/usr/local/bin", "work", *(f"kept/{kept}" for kept in KEPT_FOLDERS)):
            (node / folder).mkdir(parents=True, exist_ok=True)
        self.settings.logs.mkdir(exist_ok=True)
        for path, content in node_files.contents().items():
            file = node / "upper" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        for program in programs:
            target = node / "upper/usr/local/bin" / node_files.program_name(program)
            target.unlink(missing_ok=True)
            shutil.copy(program, target)
            target.chmod(0o755)

    def _clear_ruins(self) -> None:
        # Of a node that was killed: the kubelet would look long for the containers of control groups left behind.
        self._end_processes()
        cgroups.remove()
        _remove_link()

    def _end_processes(self) -> None:
        deadline = time.monotonic() + _STOP_S
        while members := cgroups.members():
            if time.monotonic() > deadline:
                raise Problem(
                    f"These processes of the node do not end: {sorted(members)}", "Look at them with: ps -fp PID"
                )
            for pid in members:
                _kill(pid)
            time.sleep(0.05)

    def _wait_for_init(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self.pid:
            if time.monotonic() > deadline:
                log = (self.settings.logs / "node.log").read_text()[-1500:]
                raise Problem(f"The node did not start:\n{log}", "Try again after: make cluster-down")
            time.sleep(0.05)

    def _connect(self) -> None:
        pid = str(self.pid)
        output_of(["ip", "link", "add", _LINK, "type", "veth", "peer", "name", "eth0", "netns", pid])
        output_of(["ip", "address", "add", f"{HOST_IP}/{LINK_PREFIX}", "dev", _LINK])
        output_of(["ip", "link", "set", _LINK, "up"])
        self.run(["ip", "address", "add", f"{NODE_IP}/{LINK_PREFIX}", "dev", "eth0"])
        self.run(["ip", "link", "set", "eth0", "up"])
        self.run(["ip", "route", "add", "default", "via", HOST_IP])


def _remove_link() -> None:
    if succeeds(["ip", "link", "show", _LINK]):
        output_of(["ip", "link", "delete", _LINK])


def _is_first_process(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return numbers[1:] == ["1"] and any(part.endswith(b"node_init.py") for part in command)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
