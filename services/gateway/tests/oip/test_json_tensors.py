import json
from array import array
from typing import Any

import pytest
from gateway.oip import byte_strings
from gateway.oip.json_tensors import decode, encode
from hypothesis import given
from hypothesis import strategies as st
from service_runtime.errors import InvalidInput

VALUES = {
    "BOOL": st.booleans(),
    "UINT8": st.integers(0, 2**8 - 1),
    "UINT16": st.integers(0, 2**16 - 1),
    "UINT32": st.integers(0, 2**32 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
    "INT8": st.integers(-(2**7), 2**7 - 1),
    "INT16": st.integers(-(2**15), 2**15 - 1),
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "BYTES": st.text(),
}


@pytest.mark.parametrize("datatype", VALUES)
@given(data=st.data())
def test_what_goes_in_comes_out_exactly(datatype: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(VALUES[datatype], max_size=8))
    raw = encode("x", datatype, [len(values)], data=json.loads(json.dumps(values)))
    assert decode("x", datatype, raw) == values


@given(rows=st.integers(0, 4), columns=st.integers(0, 4), depth=st.integers(0, 3))
def test_nested_and_flat_data_mean_the_same(rows: int, columns: int, depth: int) -> None:
    flat = list(range(rows * columns * depth))
    numbers = iter(flat)
    nested = [[[next(numbers) for _ in range(depth)] for _ in range(columns)] for _ in range(rows)]
    shape = [rows, columns, depth]
    assert encode("x", "INT32", shape, data=nested) == encode("x", "INT32", shape, data=flat)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2, 2], [[1, 2, 3, 4]]),
        ([2, 2], [[1, 2], [3]]),
        ([2, 2], [[1, 2], 3, 4]),
        ([2, 2], [1, 2, [3, 4]]),
        ([4], [[1, 2], [3, 4]]),
        ([1, 2, 2], [[1, 2], [3, 4]]),
        ([2, 0], [[], [], []]),
        ([2], "ab"),
        ([2], None),
    ],
)
def test_data_of_another_shape_is_refused(shape: list[int], data: Any) -> None:
    with pytest.raises(InvalidInput):
        encode("x", "INT32", shape, data=data)


@pytest.mark.parametrize("value", [3.5e38, -1e300])
def test_a_number_beyond_fp32_does_not_become_infinity(value: float) -> None:
    with pytest.raises(InvalidInput, match="out of the range"):
        encode("x", "FP32", [2], data=[1, value])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("datatype", "typecode"), [("FP32", "f"), ("FP64", "d")])
def test_an_answer_that_json_cannot_carry_says_what_to_do(value: float, datatype: str, typecode: str) -> None:
    with pytest.raises(InvalidInput, match="binary"):
        decode("x", datatype, array(typecode, [1, value]).tobytes())


def test_large_doubles_that_add_up_to_infinity_are_finite() -> None:
    values = [1.7e308] * 4
    assert decode("x", "FP64", encode("x", "FP64", [4], data=values)) == values


def test_bytes_that_are_no_text_are_refused_as_json() -> None:
    with pytest.raises(InvalidInput, match="binary"):
        decode("x", "BYTES", byte_strings.pack([b"\xff"]))
