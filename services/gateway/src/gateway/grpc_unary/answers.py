"""What the answer of a gRPC call says: its message, or the error that its headers and trailers mean."""

import asyncio
import base64
import functools
import re
from urllib.parse import unquote

from grpc import StatusCode
from service_runtime.http2.frames import ErrorCode
from service_runtime.http2.header_blocks import HeaderDecoder

_CODES = {code.value[0]: code for code in StatusCode}
# https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_CODE_OF_HTTP = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}

# What a sidecar says in the place of a server that it never reached, in Envoy's words.
_NEVER_REACHED = re.compile(
    "no healthy upstream"
    "|reset reason: (remote connection failure|local connection failure|connection timeout"
    "|remote refused stream reset|local refused stream reset)"
)


class RpcError(Exception):
    """A call that did not end with OK. `processed` is False when the server surely never began it."""

    def __init__(self, code: StatusCode, details: str, *, processed: bool = True, status_details: bytes = b"") -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details
        self.processed = processed
        self.status_details = status_details  # a serialized google.rpc.Status


@functools.lru_cache(maxsize=512)
def decode_headers(block: bytes) -> dict[str, str]:
    """Decode a header block; without a dynamic table equal blocks mean equal headers."""
    fields = HeaderDecoder(table_bytes=0).decode(block)
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in fields}


def read_message(headers: dict[str, str], body: bytearray) -> bytes:
    """Return the one message of an answer, or raise what the trailers say."""
    status = headers.get("grpc-status")
    if status is None:
        http = headers.get(":status", "")
        code = _CODE_OF_HTTP.get(int(http) if http.isdecimal() else 0, StatusCode.UNKNOWN)
        raise RpcError(code, f"the server answered without a gRPC status (HTTP {http or 'unknown'})")
    if status != "0":
        code = _CODES.get(int(status) if status.isdecimal() else 2, StatusCode.UNKNOWN)
        details = unquote(headers.get("grpc-message", ""))
        never_reached = code is StatusCode.UNAVAILABLE and _NEVER_REACHED.search(details) is not None
        rich = _unbase64(headers.get("grpc-status-details-bin", ""))
        raise RpcError(code, details, processed=not never_reached, status_details=rich)
    if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:  # noqa: PLR2004 - gRPC's prefix
        raise RpcError(StatusCode.INTERNAL, "the server did not answer with one plain message")
    return bytes(memoryview(body)[5:])


def reset_error(reason: int) -> RpcError:
    """Return what a stream that the server reset means for its call."""
    if reason == ErrorCode.REFUSED_STREAM:
        return RpcError(StatusCode.UNAVAILABLE, "the server refused the call", processed=False)
    if reason == ErrorCode.ENHANCE_YOUR_CALM:
        return RpcError(StatusCode.UNAVAILABLE, "the server asks for less")
    if reason == ErrorCode.CANCEL:
        return RpcError(StatusCode.CANCELLED, "the server cancelled the call")
    return RpcError(StatusCode.INTERNAL, f"the server reset the call (HTTP/2 error {reason})")


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def fail(answer: asyncio.Future[bytes], error: RpcError) -> None:
    """End a call with an error, unless it has ended already."""
    if not answer.done():
        answer.set_exception(error)
