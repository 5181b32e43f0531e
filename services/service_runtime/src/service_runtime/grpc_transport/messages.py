"""gRPC's messages on a stream: five bytes of prefix, then the message, perhaps compressed."""

import asyncio
import struct
import zlib
from collections import deque

from service_runtime.errors import InvalidInput, PayloadTooLarge

PREFIX_BYTES = 5

_PREFIX = struct.Struct(">BL")
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
# Unpacking more than this would hold up everybody else's calls.
_INLINE_BYTES = 4 * 1024


def pack(message: bytes) -> bytes:
    """Return a message with its prefix, uncompressed."""
    return _PREFIX.pack(0, len(message)) + message


class MessageReader:
    """Puts the messages of one stream together as their bytes arrive."""

    __slots__ = ("_body", "_max_bytes", "_needed", "whole")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._needed = PREFIX_BYTES
        self.whole: deque[tuple[bool, bytes]] = deque()

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._body)

    def feed(self, payload: bytes) -> None:
        """Take bytes; `whole` then has every message that is complete. Raises PayloadTooLarge."""
        if self._body:
            self._body += payload
            if len(self._body) < self._needed:
                return
            payload = bytes(self._body)
            self._body.clear()
        position, end = 0, len(payload)
        self._needed = PREFIX_BYTES
        while end - position >= PREFIX_BYTES:
            compressed, length = _PREFIX.unpack_from(payload, position)
            if length > self._max_bytes:
                raise PayloadTooLarge(f"The message is larger than {self._max_bytes} bytes.")
            stop = position + PREFIX_BYTES + length
            if stop > end:
                self._needed = PREFIX_BYTES + length
                break
            self.whole.append((bool(compressed), payload[position + PREFIX_BYTES : stop]))
            position = stop
        if position < end:
            self._body += payload[position:]


async def decompress(message: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """Unpack a message; raises PayloadTooLarge before more than `max_bytes` are made of it."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise InvalidInput("The message is marked as compressed, but no grpc-encoding says how.")
    if len(message) <= _INLINE_BYTES:
        return _decompress(message, bits, max_bytes)
    return await asyncio.to_thread(_decompress, message, bits, max_bytes)


def _decompress(message: bytes, bits: int, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(message, max_bytes + 1)
    except zlib.error as error:
        raise InvalidInput("The compressed message cannot be unpacked.") from error
    if len(plain) > max_bytes:
        raise PayloadTooLarge(f"The message is larger than {max_bytes} bytes.")
    if not unpacker.eof:
        raise InvalidInput("The compressed message cannot be unpacked.")
    return plain
