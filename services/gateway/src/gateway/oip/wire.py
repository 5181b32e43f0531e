"""Protobuf messages cut into their header and their raw tensors, without copying or decoding a tensor."""

from collections.abc import Sequence

Tensor = bytes | memoryview

# Key bytes of the repeated bytes fields: field number << 3 | length-delimited.
RAW_INPUT_CONTENTS = 7 << 3 | 2
RAW_OUTPUT_CONTENTS = 6 << 3 | 2

_FIRST_LONG_KEY = 0x80
_MAX_KEY = 2**32 - 1
_MAX_VARINT_BYTES = 10
# Megabytes of two-byte fields would hold the event loop for seconds; a real message has a handful.
_MAX_FIELDS = 10_000
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5


def split(message: bytes, raw_key: int) -> tuple[bytes, list[memoryview]]:
    """Return the message without the fields that have `raw_key`, and a view of each of these; ValueError if broken."""
    view = memoryview(message)
    header: list[memoryview] = []
    tensors: list[memoryview] = []
    at = kept = fields = 0
    end = len(message)
    try:
        while at < end:
            start = at
            fields += 1
            if fields > _MAX_FIELDS:
                raise ValueError("the message has too many fields")
            key = message[at]
            at += 1
            if key & 0x80:
                key, at = _long_key(message, start)
            kind = key & 7
            if kind == _DELIMITED:
                size = message[at]
                at += 1
                if size & 0x80:
                    size, at = _varint(message, at - 1)
                if key == raw_key:
                    header.append(view[kept:start])
                    tensors.append(view[at : at + size])
                    kept = at + size
                at += size
            else:
                at = _skip(message, at, kind)
    except IndexError:
        at = end + 1
    if at > end:
        raise ValueError("the message is cut off")
    header.append(view[kept:])
    return b"".join(header), tensors


def join(header: bytes, raw_key: int, tensors: Sequence[Tensor]) -> bytes:
    """Return the message that has the header's fields and the raw tensors."""
    parts: list[Tensor] = [header]
    for tensor in tensors:
        parts.append(bytes((raw_key, *_varint_bytes(len(tensor)))))
        parts.append(tensor)
    return b"".join(parts)


def _long_key(message: bytes, at: int) -> tuple[int, int]:
    key, at = _varint(message, at)
    # An overlong key would read as one field here and perhaps as another behind us.
    if not _FIRST_LONG_KEY <= key <= _MAX_KEY:
        raise ValueError("a field has no valid number")
    return key, at


def _skip(message: bytes, at: int, kind: int) -> int:
    if kind == _VARINT:
        return _varint(message, at, limit=2**64)[1]
    if kind == _FIXED64:
        return at + 8
    if kind == _FIXED32:
        return at + 4
    raise ValueError("a field has no valid type")


def _varint(message: bytes, at: int, *, limit: int = _MAX_KEY) -> tuple[int, int]:
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        byte = message[at + position]
        value |= (byte & 0x7F) << 7 * position
        if not byte & 0x80:
            if value > limit:
                break
            return value, at + position + 1
    raise ValueError("a number is too large")


def _varint_bytes(value: int) -> list[int]:
    digits = []
    while value > 0x7F:  # noqa: PLR2004 - seven bits in a byte
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return digits
