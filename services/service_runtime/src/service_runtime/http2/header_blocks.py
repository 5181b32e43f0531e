"""HTTP/2 header blocks: literals out, everything in (RFC 7541). Huffman codes and the static table are hpack's."""

from collections import deque
from collections.abc import Iterable

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from service_runtime.http2.frames import ErrorCode, ProtocolError

Field = tuple[bytes, bytes]

MAX_HEADER_BYTES = 65_536
DEFAULT_TABLE_BYTES = 4096

_STATIC: tuple[Field, ...] = tuple(HeaderTable.STATIC_TABLE)
_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_INDEXED, _LITERAL_INDEXED, _TABLE_SIZE, _HUFFMAN = 0x80, 0x40, 0x20, 0x80
_LONGEST_INTEGER = 1 << 28


def encode_literals(headers: Iterable[tuple[str, str]]) -> bytes:
    """Encode headers as literals without indexing or Huffman coding: no state, and cheap."""
    return b"".join(b"\0" + _encode_string(name) + _encode_string(value) for name, value in headers)


def _encode_string(text: str) -> bytes:
    raw = text.encode("ascii")
    length = len(raw)
    if length < 127:  # noqa: PLR2004 - a 7-bit prefix, RFC 7541 section 5.1
        return bytes((length,)) + raw
    head = bytearray((127,))
    length -= 127
    while length >= 128:  # noqa: PLR2004
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + raw


class HeaderDecoder:
    """Decodes the header blocks of one connection, in their order."""

    def __init__(self, *, table_bytes: int = DEFAULT_TABLE_BYTES, max_bytes: int = MAX_HEADER_BYTES) -> None:
        self._allowed = self._limit = table_bytes
        self._max_bytes = max_bytes
        self.changes = 0  # of the table: the same block means the same until the next
        self._table: deque[Field] = deque()
        self._table_bytes = 0

    def decode(self, block: bytes) -> list[Field]:
        """Return names and values; raises ProtocolError, after which the connection is of no further use."""
        try:
            return self._decode(block)
        except IndexError as error:
            raise _broken("a truncated header block") from error

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        position, end, size = 0, len(block), 0
        while position < end:
            first = block[position]
            if first & _INDEXED:
                index, position = _integer(block, position, 0x7F)
                field = self._at(index)
            elif first & _LITERAL_INDEXED:
                field, position = self._literal(block, position, 0x3F)
                self._remember(field)
            elif first & _TABLE_SIZE:
                limit, position = _integer(block, position, 0x1F)
                self._resize(limit, at_start=not fields)
                continue
            else:
                field, position = self._literal(block, position, 0x0F)
            fields.append(field)
            size += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
            if size > self._max_bytes:
                raise ProtocolError("headers larger than allowed", ErrorCode.ENHANCE_YOUR_CALM)
        return fields

    def _at(self, index: int) -> Field:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        if len(_STATIC) < index <= len(_STATIC) + len(self._table):
            return self._table[index - len(_STATIC) - 1]
        raise _broken("an index that no header has")

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[Field, int]:
        index, position = _integer(block, position, mask)
        if index:
            name = self._at(index)[0]
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        return (name, value), position

    def _remember(self, field: Field) -> None:
        self.changes += 1
        self._table.appendleft(field)
        self._table_bytes += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
        self._evict()

    def _resize(self, limit: int, *, at_start: bool) -> None:
        if not at_start or limit > self._allowed:
            raise _broken("a table size that is not allowed")
        self.changes += 1
        self._limit = limit
        self._evict()

    def _evict(self) -> None:
        while self._table_bytes > self._limit:
            name, value = self._table.pop()
            self._table_bytes -= len(name) + len(value) + _ENTRY_OVERHEAD


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if value > _LONGEST_INTEGER or shift > 28:  # noqa: PLR2004 - zeros without end are no number either
            raise _broken("a number that is too large")
        if byte < 128:  # noqa: PLR2004 - the last of its groups
            return value, position
        shift += 7


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    encoded = block[position] & _HUFFMAN
    length, start = _integer(block, position, 0x7F)
    end = start + length
    if end > len(block):
        raise _broken("a truncated header block")
    raw = block[start:end]
    if not encoded:
        return raw, end
    try:
        return decode_huffman(raw), end
    except HPACKError as error:
        raise _broken("a Huffman code that means nothing") from error


def _broken(reason: str) -> ProtocolError:
    return ProtocolError(reason, ErrorCode.COMPRESSION_ERROR)
