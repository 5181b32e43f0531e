"""Make a virtual environment with uv in it: make_venv.py FOLDER REQUIREMENTS."""

import subprocess
import sys
from pathlib import Path

MINIMUM = (3, 11)


def main() -> None:
    """Create the environment if need be and put uv into it, or say in one line what this machine lacks."""
    folder, requirements = Path(sys.argv[1]), sys.argv[2]
    if sys.version_info < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        found = f"{sys.executable} is {sys.version.split()[0]}"
        sys.exit(f"Fairlead needs Python {wanted} or newer; {found}. Try: make PYTHON=python{wanted}")
    if subprocess.call([sys.executable, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL):
        sys.exit("This Python cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv")
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Making {folder} with {sys.executable}")
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", str(folder)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.check_call([*pip, "--require-hashes", "--requirement", requirements])
    (folder / "bin" / "uv").touch()


if __name__ == "__main__":
    main()
