"""The head of a gRPC request: what its header block says, checked (RFC 9113 section 8, gRPC over HTTP/2)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from service_runtime.http2.frames import ProtocolError
from service_runtime.http2.header_blocks import Field

Metadata = tuple[tuple[str, str], ...]

_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_REQUIRED = frozenset((b":method", b":scheme", b":path"))
# Of HTTP/1: they describe a connection, which HTTP/2 does by frames.
_FORBIDDEN = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_UPPER_CASE = re.compile(rb"[A-Z]")
_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a request says before its messages. `timeout` is in seconds."""

    method: str
    path: str
    content_type: str
    encoding: str
    timeout: float | None
    content_length: int | None
    traceparent: str | None
    metadata: Metadata


def read_head(fields: Iterable[Field], *, stream: int) -> RequestHead:
    """Check and read a header block; raises ProtocolError for this stream when it is no HTTP/2 request."""
    pseudo: dict[bytes, bytes] = {}
    metadata: list[tuple[str, str]] = []
    for name, value in fields:
        if name[:1] == b":":
            if metadata or name in pseudo or name not in _PSEUDO:
                raise ProtocolError("a pseudo-header that is unknown, repeated or late", stream=stream)
            pseudo[name] = value
            continue
        if name in _FORBIDDEN or _UPPER_CASE.search(name) or (name == b"te" and value != b"trailers"):
            raise ProtocolError("a header that HTTP/2 forbids", stream=stream)
        metadata.append((name.decode("latin-1"), value.decode("latin-1")))
    if not pseudo.keys() >= _REQUIRED or not pseudo[b":path"]:
        raise ProtocolError("a request without method, scheme or path", stream=stream)
    named = dict(metadata)
    return RequestHead(
        method=pseudo[b":method"].decode("latin-1"),
        path=pseudo[b":path"].decode("latin-1"),
        content_type=named.get("content-type", ""),
        encoding=named.get("grpc-encoding", "identity"),
        timeout=_timeout(named.get("grpc-timeout"), stream),
        content_length=_content_length(named.get("content-length"), stream),
        traceparent=named.get("traceparent"),
        metadata=tuple(metadata),
    )


def check_trailers(fields: Iterable[Field], *, stream: int) -> None:
    """Check what may follow the messages of a request; gRPC gives it no meaning."""
    if any(name[:1] == b":" or _UPPER_CASE.search(name) for name, _ in fields):
        raise ProtocolError("trailers that HTTP/2 forbids", stream=stream)


def _timeout(text: str | None, stream: int) -> float | None:
    if text is None:
        return None
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise ProtocolError("a grpc-timeout that is no duration", stream=stream)
    return int(match[1]) * _SECONDS[match[2]]


def _content_length(text: str | None, stream: int) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):  # noqa: PLR2004 - a petabyte
        raise ProtocolError("a content-length that is no number", stream=stream)
    return int(text)
