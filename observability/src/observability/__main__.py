"""Write dashboards and alerts: .venv/bin/python -m observability [FOLDER], by default this checkout's platform/."""

import argparse
from pathlib import Path

from observability.files import written

_ROOT = Path(__file__).parents[3]


def main() -> None:
    """Write every file and say which."""
    parser = argparse.ArgumentParser(prog="observability", description="Write the dashboards and alerts of platform/.")
    parser.add_argument("folder", nargs="?", type=Path, default=_ROOT / "platform")
    folder = parser.parse_args().folder
    for path, content in written(_ROOT).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        print(target)


if __name__ == "__main__":
    main()
