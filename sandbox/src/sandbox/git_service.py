"""The git server as a process of this machine: hooks build images, so it does not live in the node."""

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox import git_http, notices
from sandbox.commands import output_of
from sandbox.problem import Problem
from sandbox.settings import HOST_IP, SandboxSettings

REPOSITORY = "fairlead.git"
UPSTREAM = "git/upstream"
"""Where below the state folder mirrors of upstream's repositories lie, which the server serves like ours."""
_START_S = 10.0
_FREEBIND = 15  # IP_FREEBIND of ip(7), which the socket module does not name


@dataclass(frozen=True, slots=True)
class GitService:
    """Start, find and end the server that serves the state folder's repositories."""

    settings: SandboxSettings
    address: str

    @property
    def repositories(self) -> Path:
        """The folder of bare repositories."""
        return self.settings.state / "git"

    @property
    def url(self) -> str:
        """Where this machine pushes to and Argo CD fetches from."""
        return f"http://{self.address}:{self.settings.git_port}/{REPOSITORY}"

    @property
    def jwks(self) -> Path:
        """The file of public keys that the server shows."""
        return self.settings.state / git_http.JWKS

    def start(self) -> None:
        """Create the repository and start the server, unless both are there."""
        repository = self.repositories / REPOSITORY
        if not (repository / "HEAD").exists():
            output_of(["git", "init", "--bare", "--quiet", "--initial-branch=main", str(repository)])
        # The clone of a machine that runs CI may lack the past.
        output_of(["git", "-C", str(repository), "config", "receive.shallowUpdate", "true"])
        if self.pid() and self._program_file.exists() and self._program_file.read_text() == _program():
            return
        self.stop()  # it may be of an older checkout, and lack what this one's cluster needs
        where = [self.address, str(self.settings.git_port), str(self.repositories)]
        with (self.settings.logs / "git.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.git_http", *where],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.repositories,
            )
        self._pid_file.write_text(str(process.pid))
        self._program_file.write_text(_program())
        self._wait(process)

    def stop(self) -> None:
        """End the server and what its hooks started."""
        if pid := self.pid():
            os.killpg(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)

    def pid(self) -> int:
        """Return the server's process; 0 when it does not run."""
        try:
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ValueError):
            return 0
        return pid if b"sandbox.git_http" in command and str(self.repositories).encode() in command else 0

    @property
    def _pid_file(self) -> Path:
        return self.settings.state / "git.pid"

    @property
    def _program_file(self) -> Path:
        return self.settings.state / "git.program"

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _START_S
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                log = (self.settings.logs / "git.log").read_text()[-1000:]
                raise Problem(f"The git server did not start:\n{log}", "Look at: make doctor")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Say whether the repository can be fetched from."""
        connection = http.client.HTTPConnection(self.address, self.settings.git_port, timeout=5)
        try:
            connection.request("GET", f"/{REPOSITORY}/info/refs?service=git-upload-pack")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()


def _program() -> str:
    """Return what tells one version of the server from another."""
    modules = (git_http.__file__, notices.__file__)
    return hashlib.sha256(b"".join(Path(module).read_bytes() for module in modules)).hexdigest()


def port_is_free(port: int) -> bool:
    """Say whether the git server could listen, even before its address exists."""
    with socket.socket() as probe:
        probe.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
        # Connections of a server that just ended linger; they keep nobody from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST_IP, port))
        except OSError:
            return False
    return True
