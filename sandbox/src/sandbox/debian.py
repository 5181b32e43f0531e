"""Root file systems made of Debian packages, kept by what is in them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sandbox.cache import Cache
from sandbox.commands import output_of, stream
from sandbox.problem import Problem
from sandbox.progress import Step

NODE_PACKAGES = (
    "ca-certificates",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "docker-registry",
    "ebtables",
    "ethtool",
    "iproute2",
    "ipset",
    "iptables",
    "kmod",
    "mount",
    "nftables",
    "procps",
    "python3-minimal",
    "runc",
    "socat",
    "util-linux",
)
IMAGE_PACKAGES = (
    "busybox",
    "ca-certificates",
    "git",
    "git-lfs",
    "gnupg",
    "iptables",
    "openssh-client",
    "redis-server",
    "tini",
)
_SUITE = "bookworm"
_EPOCH = "0"


@dataclass(frozen=True, slots=True)
class Debian:
    """Builds root file systems with mmdebstrap, from the machine's own package sources."""

    cache: Cache

    def archive(self, name: str, packages: tuple[str, ...], step: Step) -> Path:
        """Return a tar archive of a minimal Debian with these packages."""
        entry = self.cache.path("debian", name, inputs=[_SUITE, *packages])
        return self.cache.make(entry, lambda made: _bootstrap(made, packages, step))

    def folder(self, name: str, packages: tuple[str, ...], step: Step) -> Path:
        """Return the same, unpacked: what an overlay mount needs below it."""
        entry = self.cache.path("debian", f"{name}-folder", inputs=[_SUITE, *packages])
        return self.cache.make(entry, lambda made: _unpack(self.archive(name, packages, step), made))


def _bootstrap(made: Path, packages: tuple[str, ...], step: Step) -> None:
    if not shutil.which("mmdebstrap"):
        raise Problem("mmdebstrap is not installed.", "apt-get install --no-install-recommends mmdebstrap")

    def show(line: str) -> None:
        if line.startswith("I: "):
            step.detail = line.removeprefix("I: ").rstrip(".")

    # Without documents and translations a root file system is a third smaller.
    leave_out = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in leave_out]
    include = f"--include={','.join(packages)}"
    command = ["mmdebstrap", "--variant=minbase", "--format=tar", include, *options, _SUITE, str(made)]
    # It mounts /proc, /sys and devices below what it unpacks: in namespaces of its own, these and its processes vanish
    # with it. What it unpacks lies beside the result, so that what a killed command leaves is swept.
    apart = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--"]
    stream([*apart, "env", f"SOURCE_DATE_EPOCH={_EPOCH}", f"TMPDIR={made.parent}", *command], on_line=show)


def _unpack(archive: Path, made: Path) -> None:
    made.mkdir()
    output_of(["tar", "--extract", "--numeric-owner", "--file", str(archive), "--directory", str(made)], timeout_s=600)
