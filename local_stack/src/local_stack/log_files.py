"""Following the services' log files."""

from collections.abc import Iterator, Mapping
from pathlib import Path


class LogFollower:
    """Reads what was appended to several log files since it last looked."""

    def __init__(self, logs: Mapping[str, Path], *, from_end: bool = True) -> None:
        self._logs = logs
        self._offsets = {name: path.stat().st_size if from_end and path.exists() else 0 for name, path in logs.items()}
        self._partial = dict.fromkeys(logs, b"")

    def new_lines(self) -> Iterator[tuple[str, str]]:
        """Yield (service, line) for every whole new line."""
        for name, path in self._logs.items():
            for line in self._appended(name, path):
                yield name, line.decode(errors="replace")

    def _appended(self, name: str, path: Path) -> list[bytes]:
        if not path.exists():
            return []
        if path.stat().st_size < self._offsets[name]:  # a new run began
            self._offsets[name], self._partial[name] = 0, b""
        with path.open("rb") as log:
            log.seek(self._offsets[name])
            appended = log.read()
        self._offsets[name] += len(appended)
        *whole, self._partial[name] = (self._partial[name] + appended).split(b"\n")
        return whole
