"""How a process becomes the node: own control group, own namespaces, own root file system.

python -m sandbox.node_entry join STATE LOWER REGISTRY runs on this machine and becomes unshare, which runs
python -m sandbox.node_entry enter STATE LOWER REGISTRY in new namespaces; that one becomes the node's first process.
"""

import os
import subprocess
import sys
from pathlib import Path

from sandbox import cgroups
from sandbox.settings import NODE_NAME, SERVICE_RANGE

# Programs that mount overlays of their own cannot do so on the node's: these folders lie on this machine's disk.
KEPT_FOLDERS = ("var/lib/containerd", "var/lib/kubelet", "var/lib/etcd", "var/log", "opt/local-path-provisioner")
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup")


def main(stage: str, state: Path, lower: Path, registry: Path) -> None:
    """Run one stage."""
    if stage == "join":
        cgroups.join(os.getpid())
        again = [sys.executable, "-m", "sandbox.node_entry", "enter", str(state), str(lower), str(registry)]
        os.execvp("unshare", ["unshare", *_NAMESPACES, "--fork", "--kill-child=SIGKILL", "--", *again])  # noqa: S606
    _enter(state, lower, registry)


def _enter(state: Path, lower: Path, registry: Path) -> None:
    root = state / "node" / "root"
    hierarchies = cgroups.of_this_machine()
    _mount_root(state, lower, registry, root)
    _mount_kernel_folders(root, hierarchies)
    _run("hostname", NODE_NAME)
    os.chdir(root)
    _run("pivot_root", ".", "mnt")
    os.chdir("/")
    os.environ.clear()  # noqa: TID251 - the node starts from nothing
    os.environ.update(PATH=_PATH, HOME="/root")  # noqa: TID251
    _run("umount", "--lazy", "/mnt")
    # Only now: the kernel refuses to pivot into a shared mount. Volumes that the kubelet mounts must reach containers.
    _run("mount", "--make-rshared", "/")
    _prepare_network()
    os.execv("/usr/bin/python3", ["python3", "/usr/local/lib/sandbox/node_init.py"])  # noqa: S606


def _mount_root(state: Path, lower: Path, registry: Path, root: Path) -> None:
    _run("mount", "--make-rprivate", "/")
    layers = f"lowerdir={lower},upperdir={state / 'node' / 'upper'},workdir={state / 'node' / 'work'}"
    _run("mount", "-t", "overlay", "-o", layers, "overlay", str(root))
    for folder in KEPT_FOLDERS:
        _bind(state / "node" / "kept" / folder, root / folder)
    _bind(state / "logs", root / "var/log/sandbox")
    _bind(registry, root / "var/lib/docker-registry")


def _mount_kernel_folders(root: Path, hierarchies: list[cgroups.Hierarchy]) -> None:
    _run("mount", "-t", "proc", "proc", str(root / "proc"))
    _run("mount", "-t", "sysfs", "sysfs", str(root / "sys"))
    _run("mount", "--rbind", "/dev", str(root / "dev"))
    for name, mode in (("run", "mode=755"), ("tmp", "mode=1777")):
        _run("mount", "-t", "tmpfs", "-o", mode, "tmpfs", str(root / name))
    groups = root / "sys/fs/cgroup"
    first = [hierarchy for hierarchy in hierarchies if hierarchy.version == 1]
    if not first:
        _run("mount", "-t", "cgroup2", "cgroup2", str(groups))
        _leave_top_group(groups)
        return
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "cgroup", str(groups))
    for hierarchy in first:
        folder = groups / hierarchy.mount.name
        folder.mkdir()
        _run("mount", "-t", "cgroup", "-o", hierarchy.controllers, "cgroup", str(folder))
        for part in hierarchy.mount.name.split(","):
            if part != folder.name:
                (groups / part).symlink_to(folder.name)


def _leave_top_group(groups: Path) -> None:
    # Version 2 lets a group either hold processes or hand controllers down.
    (groups / "init").mkdir(exist_ok=True)
    for pid in (groups / "cgroup.procs").read_text().split():
        (groups / "init" / "cgroup.procs").write_text(pid)
    controllers = (groups / "cgroup.controllers").read_text().split()
    (groups / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


def _prepare_network() -> None:
    _run("ip", "link", "set", "lo", "up")
    for name in ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"):
        Path("/proc/sys", *name.split(".")).write_text("1")
    # A service address that kube-proxy has not programmed yet must fail at once. Where a gateway answers for any
    # address, the API server's aggregator would otherwise keep a connection to a stranger for ever.
    for chain in ("OUTPUT", "FORWARD"):
        _run("iptables", "-A", chain, "-d", SERVICE_RANGE, "-j", "REJECT")


def _bind(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    _run("mount", "--bind", str(source), str(target))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
