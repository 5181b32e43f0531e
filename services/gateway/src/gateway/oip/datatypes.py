"""The protocol's datatypes: their size on the wire and where each encoding keeps them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype of the protocol."""

    size: int
    """Bytes of one element; 0 when elements differ in length."""

    typecode: str
    """What the `array` module calls it; empty when it knows no such thing."""

    contents: str
    """Field of InferTensorContents that holds it; empty when only raw bytes can carry it."""


# Tensors are little endian on the wire, as is every machine that we serve on: `array` needs no byte swap.
DATATYPES = {
    "BOOL": Datatype(1, "", "bool_contents"),
    "UINT8": Datatype(1, "B", "uint_contents"),
    "UINT16": Datatype(2, "H", "uint_contents"),
    "UINT32": Datatype(4, "I", "uint_contents"),
    "UINT64": Datatype(8, "Q", "uint64_contents"),
    "INT8": Datatype(1, "b", "int_contents"),
    "INT16": Datatype(2, "h", "int_contents"),
    "INT32": Datatype(4, "i", "int_contents"),
    "INT64": Datatype(8, "q", "int64_contents"),
    "FP16": Datatype(2, "", ""),
    "BF16": Datatype(2, "", ""),
    "FP32": Datatype(4, "f", "fp32_contents"),
    "FP64": Datatype(8, "d", "fp64_contents"),
    "BYTES": Datatype(0, "", "bytes_contents"),
}
FLOATS = frozenset({"FP32", "FP64"})
