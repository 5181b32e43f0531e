"""Which manifests were found good: a commit that changes nothing of what the check reads needs no second look."""

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import delivery

# Of a service's code the check imports its settings alone, and they import nothing but the settings of service_runtime.
_READ = re.compile(r"(clusters|platform|models)/|services/[^/]+/(?!src/|tests/)|services/.+/settings\.py$")


@dataclass(frozen=True, slots=True)
class Judged:
    """What passed, kept as one empty file each, named after everything that decided it."""

    folder: Path

    def knows(self, commit: str) -> bool:
        """Say whether the same files passed the same rules before."""
        return self._record(commit).exists()

    def keep(self, commit: str) -> None:
        """Remember a commit that passed."""
        self.folder.mkdir(exist_ok=True)
        self._record(commit).touch()

    def _record(self, commit: str) -> Path:
        listed = subprocess.run(["git", "ls-tree", "-r", commit], capture_output=True, text=True, check=True).stdout
        files = [line for line in listed.splitlines() if _READ.match(line.partition("\t")[2])]
        total = hashlib.sha256("\n".join(files).encode())
        for module in sorted(Path(delivery.__file__).parent.rglob("*.py")):
            total.update(module.read_bytes())
        return self.folder / total.hexdigest()
