"""What the environment tells the stack, read in this one place."""

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RELEASE_FILE = ROOT / "local_stack" / "release.env"
_RUN_FOLDER = ROOT / ".fairlead"


class BadSetting(ValueError):
    """A variable or file cannot be used; the message says what it must look like."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """How to run the stack."""

    port_offset: int = 0
    """FAIRLEAD_PORT_OFFSET: added to every port."""
    run_folder: Path = _RUN_FOLDER
    """FAIRLEAD_RUN_FOLDER: logs, data and the lock of the running stack."""
    environment: dict[str, str] = field(default_factory=dict)
    """What the services inherit."""

    @classmethod
    def read(cls) -> "StackSettings":
        """Read the environment; variables that are set win over the release file."""
        environment = {**release_pins(), **os.environ}  # noqa: TID251 - this module is that one place
        text = environment.get("FAIRLEAD_PORT_OFFSET", "0")
        try:
            offset = int(text)
        except ValueError:
            raise BadSetting(f"FAIRLEAD_PORT_OFFSET must be a whole number such as 100; it is {text!r}.") from None
        folder = Path(environment.get("FAIRLEAD_RUN_FOLDER", _RUN_FOLDER))
        return cls(offset, folder.resolve(), environment)


def release_pins(path: Path = RELEASE_FILE) -> dict[str, str]:
    """Read the release file: which model package this machine serves."""
    lines = (line.strip() for line in path.read_text().splitlines()) if path.exists() else ()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}
