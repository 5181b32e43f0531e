"""A git server with smart HTTP: git's own http-backend behind a small web server.

Everybody may fetch, and post notices. Only this machine may push: a push runs the repository's hooks, and those run as
root. Beside the repositories it shows one file, the public keys of the sandbox's issuer of tokens.
"""

import ipaddress
import os
import subprocess
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from sandbox.notices import LARGEST, Notices

JWKS = "issuer/jwks.json"
"""Where the public keys are, both as a path of a URL and beside the folder of repositories."""

_CHUNK = 1 << 16


class GitServer(ThreadingHTTPServer):
    """Serves every bare repository in a folder."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], repositories: Path) -> None:
        self.repositories = repositories
        self.notices = Notices(repositories)
        super().__init__(address, _Handler)

    def server_close(self) -> None:
        """Take no more, and end what waits."""
        super().server_close()
        self.notices.close()

    def may_push(self, caller: str) -> bool:
        """Say whether a caller is this machine; pods come from the node's address."""
        return caller == self.server_address[0] or ipaddress.ip_address(caller).is_loopback


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"  # with 1.0, git's client refuses to send a pack in chunks

    def do_GET(self) -> None:
        if self.path == f"/{JWKS}":
            self._show_keys()
        else:
            self._serve()

    def do_POST(self) -> None:
        if self.server.notices.is_one(self.path):
            self._notice()
        else:
            self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        print(self.address_string(), format % args, flush=True)

    def _show_keys(self) -> None:
        try:
            keys = (self.server.repositories.parent / JWKS).read_bytes()
        except FileNotFoundError:
            self.send_error(404, "The sandbox has no issuer yet: make cluster")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(keys)))
        self.end_headers()
        self.wfile.write(keys)

    def _serve(self) -> None:
        if "git-receive-pack" in self.path and not self.server.may_push(self.client_address[0]):
            self.send_error(403, "Only the machine that runs the sandbox may push")
            return
        with subprocess.Popen(
            ["git", "http-backend"], env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as backend:
            if backend.stdin and isinstance(backend.stdout, BufferedReader):
                # A backend that refuses does not read to the end; why it refuses is in its answer.
                with suppress(BrokenPipeError):
                    self._send_body(backend.stdin)
                self._relay(backend.stdout)

    def _notice(self) -> None:
        """Answer at once: who sends a notice may do nothing else until it has the answer."""
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > LARGEST:
            self.close_connection = True
            self.send_error(413, f"A notice has at most {LARGEST} bytes and says how many")
            return
        if self.server.notices.take(self.path, self.rfile.read(int(size))):
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_error(429, "Too many notices wait")

    def _environment(self) -> dict[str, str]:
        url = urlsplit(self.path)
        optional = {
            "CONTENT_LENGTH": self.headers.get("Content-Length"),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding"),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol"),
        }
        return {
            **os.environ,  # noqa: TID251 - git and the hooks need their PATH
            **{name: value for name, value in optional.items() if value},
            "GIT_PROJECT_ROOT": str(self.server.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(url.path),
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REMOTE_ADDR": self.client_address[0],
            # http-backend accepts pushes from named users only; who may push was decided above.
            "REMOTE_USER": "sandbox" if self.server.may_push(self.client_address[0]) else "",
        }

    def _send_body(self, backend: IO[bytes]) -> None:
        with backend:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    backend.write(self.rfile.read(size))
                    self.rfile.readline()
                return
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                part = self.rfile.read(min(left, _CHUNK))
                if not part:
                    return
                backend.write(part)
                left -= len(part)

    def _relay(self, answer: BufferedReader) -> None:
        status, headers = 200, []
        while line := answer.readline().strip():
            name, _, value = line.decode().partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        # The answer's length is unknown while a hook still prints: its end is the end of the connection.
        self.send_header("Connection", "close")
        self.end_headers()
        # Whatever is there goes out at once: the output of a hook is read by a person who waits.
        while part := answer.read1(_CHUNK):
            self.wfile.write(part)
            self.wfile.flush()


if __name__ == "__main__":
    GitServer((sys.argv[1], int(sys.argv[2])), Path(sys.argv[3])).serve_forever()
