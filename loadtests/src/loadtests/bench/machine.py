"""What the figures were measured on and with."""

import os
import platform
import re
import subprocess
from pathlib import Path

from local_stack.settings import ROOT

from loadtests.bench import generator
from loadtests.bench.servers import PEERS

_TOLD = ("kserve", "fastapi", "starlette", "uvicorn", "uvloop", "grpcio", "tritonclient", "onnxruntime", "numpy")
_PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)", re.MULTILINE)


def machine() -> str:
    """Return processor, memory and kernel; no names."""
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    gib = int(total[1]) / 2**20 if total else 0
    name = processor[1] if processor else platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, {gib:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"
    )


def commit() -> str:
    """Return the commit that was measured, marked when files differ from it."""
    described = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()


def versions() -> dict[str, str]:
    """Return what each environment holds of the packages that matter."""
    environments = {
        "Fairlead": ROOT / "requirements" / "all.txt",
        "Triton": ROOT / "requirements" / "triton.txt",
        "KServe": PEERS / "kserve.txt",
        "FastAPI app": PEERS / "fastapi.txt",
    }
    told = {name: _pins(path.read_text()) for name, path in environments.items()}
    return {**told, "generator": generator.version()}


def _pins(requirements: str) -> str:
    # The last of several is for another Python; ours is the first.
    found: dict[str, str] = {}
    for pin in _PIN.finditer(requirements):
        found.setdefault(pin["name"], pin["version"])
    return ", ".join(f"{name} {found[name]}" for name in (*_TOLD, "nvidia-pytriton") if name in found)
