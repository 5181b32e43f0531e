"""Notices to a repository: taken from anybody, answered at once, handled one after another by a hook.

A notice says that something happened on the cluster, as Argo Rollouts does by a webhook. What comes is bounded in size
and number, and its hook must treat it as a hint: pods send it, and nothing proves who they are.
"""

import queue
import re
import subprocess
import threading
from pathlib import Path

LARGEST = 1 << 16
_WAITING = 16
_HOOK_S = 300.0
_PATH = re.compile(r"/(?P<repository>[a-z0-9-]+\.git)/notices/(?P<name>[a-z-]+)")


def notice_of(path: str) -> tuple[str, str]:
    """Return the repository that a notice is for and the name of the hook that handles it; empty when it is none."""
    match = _PATH.fullmatch(path)
    return (match["repository"], f"notice-{match['name']}") if match else ("", "")


class Notices:
    """Runs hooks/notice-<name> of a repository with the body of each notice as its standard input."""

    def __init__(self, repositories: Path, *, waiting: int = _WAITING) -> None:
        self._repositories = repositories
        self._waiting: queue.Queue[tuple[Path, bytes] | None] = queue.Queue(waiting)
        threading.Thread(target=self._work, daemon=True).start()

    def is_one(self, path: str) -> bool:
        """Say whether a request is a notice that some hook wants."""
        return self._hook(path) is not None

    def take(self, path: str, body: bytes) -> bool:
        """Keep a notice until its turn comes; False when too many wait. What waits already is not kept twice."""
        hook = self._hook(path)
        if hook is None or (hook, body) in list(self._waiting.queue):
            return True
        try:
            self._waiting.put_nowait((hook, body))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Drop what waits, and let the worker end."""
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
        self._waiting.put(None)

    def _hook(self, path: str) -> Path | None:
        repository, name = notice_of(path)
        hook = self._repositories / repository / "hooks" / name
        return hook if name and hook.is_file() else None

    def _work(self) -> None:
        while kept := self._waiting.get():
            hook, body = kept
            try:
                done = subprocess.run(
                    [hook], input=body, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_HOOK_S, check=False
                )
                print(f"{hook.name} ended with {done.returncode}: {done.stdout.decode(errors='replace')}", flush=True)
            except (OSError, subprocess.TimeoutExpired) as failure:
                print(f"{hook.name}: {failure}", flush=True)
