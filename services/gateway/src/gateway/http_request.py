"""An HTTP request as the gateway's handlers see it."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from starlette.types import Scope

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@dataclass(slots=True)
class HttpRequest:
    """A request; the names of its headers are in lower case. Its body is as it came, see `read_body`."""

    method: str
    path: str
    path_params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, scope: Scope) -> "HttpRequest":
        """Return the request of an ASGI scope, without its body."""
        # Of a header that is there twice the first one counts.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        return cls(scope["method"], scope["path"], scope["path_params"], headers)


def read_body(request: HttpRequest, *, limit: int, deadline: Deadline) -> bytes:
    """Return the body, decompressed; raises PayloadTooLarge when it grows over `limit` bytes."""
    body = request.body
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        body = _decompress(body, encoding, limit)
        deadline.check("receive body")
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> PayloadTooLarge:
    """Return the refusal of a body over `limit` bytes."""
    return PayloadTooLarge(f"The body is larger than {limit} bytes, the most that is accepted.")


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise UnsupportedMediaType(f"Content-Encoding '{encoding[:40]}' is not known; use gzip, deflate or none.")
    inflater = zlib.decompressobj(bits)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput(f"The body is not valid {encoding}.") from error
    if len(plain) > limit:
        raise too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise InvalidInput(f"The body is not one whole {encoding} stream.")
    return plain
