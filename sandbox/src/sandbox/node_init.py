"""The first process inside the node: starts its daemons, starts them again when they end, buries orphans.

The node's own Python runs it, which is Debian's minimal one: no json, no subprocess.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOGS = "/var/log/sandbox"
KUBELET_CONFIG = Path("/var/lib/kubelet/config.yaml")
KUBELET_FLAGS = Path("/var/lib/kubelet/kubeadm-flags.env")
KUBELET_CREDENTIALS = (Path("/etc/kubernetes/kubelet.conf"), Path("/etc/kubernetes/bootstrap-kubelet.conf"))
RESTART_S = 1.0
LOOK_S = 0.2


class Daemon:
    """A program that must always run once it can."""

    def __init__(self, name: str, command: Callable[[], list[str]], ready: Callable[[], bool] = lambda: True) -> None:
        self.name = name
        self._command = command
        self._ready = ready
        self.pid = 0
        self._not_before = 0.0

    def start_if_due(self) -> None:
        """Start it unless it runs, was started a moment ago, or lacks what it needs."""
        if self.pid or time.monotonic() < self._not_before or not self._ready():
            return
        command = self._command()
        log = f"{LOGS}/{self.name}.log"
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        files = [(os.POSIX_SPAWN_OPEN, 1, log, append, 0o644), (os.POSIX_SPAWN_DUP2, 1, 2)]
        environment = os.environ  # noqa: TID251 - handed on
        self.pid = os.posix_spawnp(command[0], command, environment, file_actions=files, setsigmask=[], setsid=True)
        self._not_before = time.monotonic() + RESTART_S
        print(f"{self.name} started with pid {self.pid}", flush=True)


def main() -> None:
    """Run until told to end; the kernel then ends everything in this process namespace."""
    watched = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    daemons = [
        Daemon("registry", lambda: ["docker-registry", "serve", "/etc/docker/registry/config.yml"]),
        Daemon("containerd", lambda: ["containerd"]),
        Daemon("kubelet", kubelet_command, ready=kubelet_is_configured),
    ]
    while True:
        for daemon in daemons:
            daemon.start_if_due()
        event = signal.sigtimedwait(watched, LOOK_S)
        if event and event.si_signo == signal.SIGTERM:
            sys.exit(0)
        bury(daemons)


def bury(daemons: list[Daemon]) -> None:
    """Collect every process that ended, so that none stays a zombie."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        for daemon in daemons:
            if daemon.pid == pid:
                daemon.pid = 0
                print(f"{daemon.name} ended with {os.waitstatus_to_exitcode(status)}", flush=True)


def kubelet_is_configured() -> bool:
    """Say whether kubeadm has written what the kubelet needs."""
    return KUBELET_CONFIG.exists() and KUBELET_FLAGS.exists() and any(path.exists() for path in KUBELET_CREDENTIALS)


def kubelet_command() -> list[str]:
    """Return the kubelet's command line, as kubeadm's systemd unit would run it."""
    flags = KUBELET_FLAGS.read_text().partition("=")[2].strip().strip('"').split()
    kubeconfig, bootstrap = KUBELET_CREDENTIALS
    options = [f"--kubeconfig={kubeconfig}", f"--bootstrap-kubeconfig={bootstrap}", f"--config={KUBELET_CONFIG}"]
    return ["kubelet", *options, *flags]


if __name__ == "__main__":
    main()
