"""Send one picture to the gateway; succeed when it reads the expected label before the time is up."""

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_SECONDS = 75.0
_PAUSE_SECONDS = 1.0
_PICTURE = Path(__file__).parent / "seven.png"
_TOKEN = Path("/token/token")


def main(gateway: str, model: str, expected: str) -> int:
    """Ask until the answer comes: policies and endpoints need seconds to arrive after a sync."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            answer = _predict(f"{gateway}/v1/models/{model}:predict")
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                print(f"no prediction within {_SECONDS:g} s: {_reason(error)}", file=sys.stderr)
                return 1
            time.sleep(_PAUSE_SECONDS)
            continue
        served = answer["model"]
        print(f"{served['name']} {served['digest']} read {answer['label']!r}, expected {expected!r}")
        return 0 if answer["label"] == expected else 1


def _predict(url: str) -> Any:
    headers = {"content-type": "image/png"}
    if _TOKEN.exists():  # the gateway may ask nobody who calls
        headers["authorization"] = f"Bearer {_TOKEN.read_text().split()[0]}"  # one a line
    request = urllib.request.Request(url, _PICTURE.read_bytes(), headers)  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code}: {error.read().decode(errors='replace')}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
