"""Where a package came from: the code's commit, which the digest does not depend on."""

import subprocess
from pathlib import Path


def code_commit() -> str:
    """Return the commit of this code, with -dirty when the sources differ from it, or "unknown" outside git."""
    here = Path(__file__).parent
    commit = _git(here, "rev-parse", "HEAD")
    if commit is None:
        return "unknown"
    return f"{commit}-dirty" if _git(here, "status", "--porcelain", "--", ".") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
