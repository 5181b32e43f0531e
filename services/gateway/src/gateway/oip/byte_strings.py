"""BYTES tensors: each element is its length in four little-endian bytes and then itself."""

import struct
from collections.abc import Iterable, Iterator

from gateway.oip.wire import Tensor

_LENGTH = struct.Struct("<I")


def pack(elements: Iterable[bytes]) -> bytes:
    """Return the elements, framed."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def unpack(tensor: Tensor) -> list[bytes]:
    """Return the elements of a framed tensor; ValueError when the frames do not fill it exactly."""
    return [bytes(tensor[start:end]) for start, end in _spans(tensor)]


def count(tensor: Tensor) -> int:
    """Return how many elements a framed tensor has; ValueError as `unpack`."""
    return sum(1 for _ in _spans(tensor))


def _spans(tensor: Tensor) -> Iterator[tuple[int, int]]:
    at = 0
    end = len(tensor)
    while at < end:
        start = at + _LENGTH.size
        if start > end:
            raise ValueError("it ends inside a length")
        at = start + _LENGTH.unpack_from(tensor, at)[0]
        if at > end:
            raise ValueError("an element's length runs past the end")
        yield start, at
