"""Answers compressed for callers that accept it."""

import gzip
import zlib
from collections.abc import Callable

from starlette.responses import Response

from gateway.http_request import HttpRequest

# Below this a compressed body is hardly smaller, and always later.
_FROM_BYTES = 1024
_LEVEL = 1
_ENCODERS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def compressed(request: HttpRequest, response: Response) -> Response:
    """Return the response, its body compressed when that pays and the request allows it."""
    accepted = request.headers.get("accept-encoding")
    if not accepted or len(response.body) < _FROM_BYTES:
        return response
    for name, encode in _ENCODERS.items():
        if _accepts(accepted, name):
            response.body = encode(bytes(response.body), _LEVEL)
            response.headers["content-length"] = str(len(response.body))
            response.headers["content-encoding"] = name
            response.headers["vary"] = "accept-encoding"
            break
    return response


def _accepts(header: str, name: str) -> bool:
    for item in header.split(","):
        coding, _, quality = item.partition(";")
        if coding.strip().lower() == name:
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
