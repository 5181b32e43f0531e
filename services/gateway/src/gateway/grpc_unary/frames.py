"""HTTP/2 frames and header literals, as far as a gRPC client needs them (RFC 9113, RFC 7541)."""

import struct
from collections.abc import Iterable
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES = 9
DEFAULT_FRAME_BYTES = 16_384
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20

_HEADER = struct.Struct(">HBBBL")
_PREFIX_MAX = 127


class Frame(IntEnum):
    """Frame types."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """Settings that we send or obey."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """Reasons of RST_STREAM and GOAWAY that we act on."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    ENHANCE_YOUR_CALM = 11


class ProtocolError(Exception):
    """The peer broke HTTP/2; the connection is of no further use."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    length = len(payload)
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Frame.SETTINGS, 0, 0, b"".join(struct.pack(">HL", key, value) for key, value in values))


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Read a SETTINGS payload."""
    if len(payload) % 6:
        raise ProtocolError("SETTINGS of a wrong length")
    return list(struct.iter_unpack(">HL", payload))


def greeting(*, max_header_bytes: int) -> bytes:
    """Return what a client sends first: preface, settings, and a window that never makes the server wait."""
    wanted = [
        # No dynamic table: equal header blocks are equal bytes, so decoding them can be remembered.
        (Setting.HEADER_TABLE_SIZE, 0),
        (Setting.ENABLE_PUSH, 0),
        (Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW),
        (Setting.MAX_HEADER_LIST_SIZE, max_header_bytes),
    ]
    return PREFACE + settings(wanted) + window_update(0, MAX_WINDOW - DEFAULT_WINDOW)


def window_update(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(Frame.WINDOW_UPDATE, 0, stream, struct.pack(">L", increment))


def unpad(flags: int, payload: bytes) -> bytes:
    """Return a DATA or HEADERS payload without padding and priority."""
    start, end = 0, len(payload)
    if flags & PADDED:
        start, end = 1, end - (payload[0] if payload else 0)
    if flags & PRIORITY:
        start += 5
    if start > end:
        raise ProtocolError("padding longer than its frame")
    return payload[start:end]


def header_literals(headers: Iterable[tuple[str, str]]) -> bytes:
    """Encode headers as literals without indexing or Huffman coding: no state, and cheap."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in headers)


def _string(text: str) -> bytes:
    raw = text.encode("ascii")
    length = len(raw)
    if length < _PREFIX_MAX:
        return bytes((length,)) + raw
    head = bytearray((_PREFIX_MAX,))
    length -= _PREFIX_MAX
    while length >= 128:  # noqa: PLR2004 - a 7-bit group, RFC 7541 section 5.1
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + raw
