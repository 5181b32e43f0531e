"""How a call ends on the wire: status, message and metadata as HTTP/2 headers."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from grpc import StatusCode

from service_runtime.http2.header_blocks import encode_literals

ENCODINGS = ("identity", "gzip", "deflate")

_PRINTABLE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"

_HEAD = ((":status", "200"), ("content-type", "application/grpc"), ("grpc-accept-encoding", ",".join(ENCODINGS)))
HEADERS = encode_literals(_HEAD)
OK_TRAILERS = encode_literals([("grpc-status", "0")])


@dataclass(frozen=True, slots=True)
class Status:
    """The end of a call. The value of a metadata key that ends in -bin is bytes."""

    code: StatusCode
    message: str = ""
    metadata: Iterable[tuple[str, str | bytes]] = ()

    def trailers(self, *, alone: bool) -> bytes:
        """Return the header block that ends the call; `alone` when no headers went before it."""
        fields = [("grpc-status", str(self.code.value[0]))]
        if self.message:
            fields.append(("grpc-message", quote(self.message, safe=_PRINTABLE)))
        fields += [(key, value if isinstance(value, str) else _base64(value)) for key, value in self.metadata]
        return encode_literals((*_HEAD, *fields) if alone else fields)


def http_refusal(status: int) -> bytes:
    """Return the headers of an answer to what is no gRPC request."""
    return encode_literals([(":status", str(status)), ("content-type", "text/plain; charset=utf-8")])


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")
