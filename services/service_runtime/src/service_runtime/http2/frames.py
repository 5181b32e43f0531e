"""HTTP/2 frames (RFC 9113)."""

import struct
from collections.abc import Iterable
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES = 9
DEFAULT_FRAME_BYTES = 16_384
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1
LAST_STREAM = 2**31 - 1

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20

_HEADER = struct.Struct(">HBBBL")


class Frame(IntEnum):
    """Frame types."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
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
    """Reasons of RST_STREAM and GOAWAY."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ProtocolError(Exception):
    """The peer broke HTTP/2: one stream of it, or with stream 0 the connection, is of no further use."""

    def __init__(self, reason: str, code: ErrorCode = ErrorCode.PROTOCOL_ERROR, *, stream: int = 0) -> None:
        super().__init__(reason)
        self.code = code
        self.stream = stream


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return one frame."""
    length = len(payload)
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream) + payload


def frame_header(length: int, kind: int, flags: int, stream: int) -> bytes:
    """Return the nine bytes before a payload."""
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream)


def read_frame_header(buffer: bytes, position: int) -> tuple[int, int, int, int]:
    """Return length, type, flags and stream of the frame that begins at `position`."""
    high, low, kind, flags, stream = _HEADER.unpack_from(buffer, position)
    return high << 8 | low, kind, flags, stream & LAST_STREAM


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Frame.SETTINGS, 0, 0, b"".join(struct.pack(">HL", key, value) for key, value in values))


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Read a SETTINGS payload; raises ProtocolError for a value that RFC 9113 section 6.5.2 forbids."""
    if len(payload) % 6:
        raise ProtocolError("SETTINGS of a wrong length", ErrorCode.FRAME_SIZE_ERROR)
    values: list[tuple[int, int]] = list(struct.iter_unpack(">HL", payload))
    for key, value in values:
        if key == Setting.ENABLE_PUSH and value > 1:
            raise ProtocolError("a push that is neither on nor off")
        if key == Setting.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ProtocolError("an initial window over 2^31 - 1", ErrorCode.FLOW_CONTROL_ERROR)
        if key == Setting.MAX_FRAME_SIZE and not DEFAULT_FRAME_BYTES <= value < 1 << 24:
            raise ProtocolError("a frame size out of range")
    return values


def window_update(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(Frame.WINDOW_UPDATE, 0, stream, struct.pack(">L", increment))


def reset(stream: int, code: ErrorCode) -> bytes:
    """Return an RST_STREAM frame."""
    return frame(Frame.RST_STREAM, 0, stream, struct.pack(">L", code))


def goaway(last_stream: int, code: ErrorCode) -> bytes:
    """Return a GOAWAY frame."""
    return frame(Frame.GOAWAY, 0, 0, struct.pack(">LL", last_stream, code))


def unpad(flags: int, payload: bytes) -> bytes:
    """Return a DATA or HEADERS payload without padding and priority."""
    start, end = 0, len(payload)
    if flags & PADDED:
        start, end = 1, end - (payload[0] if payload else 1)
    if flags & PRIORITY:
        start += 5
    if start > end:
        raise ProtocolError("padding longer than its frame")
    return payload[start:end]
