"""What this machine must have before a sandbox can run on it; each finding says what to type."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.commands import CommandFailed, output_of, succeeds
from sandbox.git_service import port_is_free
from sandbox.problem import Problem
from sandbox.settings import HOST_IP, NODE_IP, SandboxSettings

GO_NEEDED = (1, 26, 4)
_GB = 1 << 30
_CACHE_NEEDED = 20 * _GB
_STATE_NEEDED = 5 * _GB
_MEMORY_NEEDED = 5 * _GB
_PROGRAMS = {
    "git": "git",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mmdebstrap": "mmdebstrap",
}
_FILE_SYSTEMS = ("overlay", "tmpfs")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what is wrong with it, and the remedy; both empty when it is well."""

    subject: str
    wrong: str = ""
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


def machine(settings: SandboxSettings, *, running: bool) -> Iterator[Finding]:
    """Look at everything; what a running sandbox occupies itself is not looked at again."""
    yield _linux()
    yield _root()
    yield from _programs()
    yield _go()
    yield from _kernel()
    yield _memory()
    if not running:
        yield _disk("cache", settings.cache, _left_to_cache(settings.cache))
        yield _disk("state", settings.state, _STATE_NEEDED)
        yield _addresses()


def refuse(findings: Iterator[Finding]) -> None:
    """Raise a Problem that names everything that is wrong, if anything is."""
    wrong = [finding for finding in findings if not finding.well]
    if wrong:
        lines = "\n".join(f"  {finding.wrong}\n      {finding.remedy}" for finding in wrong)
        raise Problem(f"The sandbox cannot run here:\n{lines}", "Everything at a glance: make doctor")


def _linux() -> Finding:
    if platform.system() == "Linux" and platform.machine() in {"x86_64", "aarch64"}:
        return Finding("Linux")
    return Finding(
        "Linux", f"This is {platform.system()} on {platform.machine()}.", "SANDBOX_PROVIDER=kind make cluster"
    )


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root")
    return Finding("root", "The node needs namespaces and mounts, which only root may make.", "sudo -E make cluster")


def _programs() -> Iterator[Finding]:
    for program, package in _PROGRAMS.items():
        if shutil.which(program):
            yield Finding(program)
        else:
            yield Finding(program, f"{program} is not installed.", f"apt-get install --no-install-recommends {package}")


def _go() -> Finding:
    needed = ".".join(map(str, GO_NEEDED))
    try:
        found = re.search(r"go(\d+(?:\.\d+)+)", output_of(["go", "version"]))
    except (CommandFailed, FileNotFoundError):
        return Finding("go", "Go is not installed.", f"Install Go {needed} or newer and put it on PATH.")
    version = tuple(int(part) for part in found[1].split(".")) if found else ()
    if version >= GO_NEEDED:
        return Finding("go")
    return Finding("go", f"Go is {'.'.join(map(str, version))}.", f"Install Go {needed} or newer.")


def _kernel() -> Iterator[Finding]:
    known = Path("/proc/filesystems").read_text().split()
    for name in _FILE_SYSTEMS:
        if name in known or succeeds(["modprobe", name]):
            yield Finding(f"{name} mounts")
        else:
            yield Finding(f"{name} mounts", f"This kernel has no {name}.", f"modprobe {name}")
    if os.geteuid() == 0:
        unshare = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "true"]
        remedy = "Inside a container, run it privileged."
        denied = Finding("namespaces", "This machine does not allow new namespaces.", remedy)
        yield Finding("namespaces") if succeeds(unshare) else denied
        # Bridged packets must pass the node's rules, or NetworkPolicies would not see them.
        bridge = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
        if bridge.exists() or succeeds(["modprobe", "br_netfilter"]):
            yield Finding("br_netfilter")
        else:
            yield Finding("br_netfilter", "The kernel module br_netfilter is not loaded.", "modprobe br_netfilter")


def _memory() -> Finding:
    available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    free = int(available.split()[1]) * 1024
    if free >= _MEMORY_NEEDED:
        return Finding("memory")
    return Finding(
        "memory", f"{free / _GB:.1f} GB of memory are free, {_MEMORY_NEEDED // _GB} are needed.", "Stop something else."
    )


def _left_to_cache(cache: Path) -> int:
    """Return how much the cache may still grow: little once programs and images lie in it."""
    filled = (cache / "binaries").exists() and (cache / "registry").exists()
    return _GB if filled else _CACHE_NEEDED


def _disk(subject: str, folder: Path, needed: int) -> Finding:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free >= needed:
        return Finding(f"disk for {subject}")
    wrong = f"{folder} needs {needed / _GB:.0f} GB of disk, {free / _GB:.1f} GB are free."
    return Finding(f"disk for {subject}", wrong, f"Make room, or set SANDBOX_{subject.upper()} to a folder elsewhere.")


def port(number: int) -> Finding:
    """Look whether the git server can listen there."""
    subject = f"port {number}"
    if port_is_free(number):
        return Finding(subject)
    holder = subprocess.run(["ss", "-Hltnp", f"sport = :{number}"], capture_output=True, text=True, check=False).stdout
    who = re.search(r'users:\(\("([^"]+)",pid=(\d+)', holder)
    by = f" by {who[1]} (pid {who[2]})" if who else ""
    return Finding(subject, f"Port {number} is taken{by}.", f"SANDBOX_GIT_PORT={number + 100} make cluster")


def _addresses() -> Finding:
    try:
        routes = output_of(["ip", "-oneline", "route", "show", "table", "all", "match", NODE_IP])
    except (CommandFailed, FileNotFoundError):
        return Finding("addresses")
    others = [line for line in routes.splitlines() if "default" not in line and "fairlead0" not in line]
    if not others:
        return Finding("addresses")
    wrong = f"{HOST_IP} and {NODE_IP} belong to another network of this machine: {others[0].strip()}"
    return Finding("addresses", wrong, "Take that network down while the sandbox runs.")
