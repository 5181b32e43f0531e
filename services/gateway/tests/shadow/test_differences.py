"""Tensors of two answers, compared as their datatypes allow."""

import struct
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from gateway.catalog import ServedModel
from gateway.shadow.differences import Answer, compare, labels_differ
from tritonclient.grpc import service_pb2 as oip

pytestmark = pytest.mark.requirement("MODELS-005")


def answer(**tensors: tuple[str, list[int], bytes]) -> Answer:
    response = oip.ModelInferResponse(model_name="digits", model_version="1")
    for name, (datatype, shape, content) in tensors.items():
        response.outputs.add(name=name, datatype=datatype, shape=shape)
        response.raw_output_contents.append(content)
    return Answer.read(response.SerializeToString())


def floats(*values: float, kind: str = "f") -> tuple[str, list[int], bytes]:
    datatype = {"e": "FP16", "f": "FP32", "d": "FP64"}[kind]
    return datatype, [len(values)], struct.pack(f"<{len(values)}{kind}", *values)


def compared(mine: Any, other: Any, *, tolerance: float = 0.001) -> tuple[bool, float | None]:
    [found] = compare(answer(t=mine), answer(t=other), tolerance=tolerance)
    return found.differs, found.largest_difference if found.HasField("largest_difference") else None


@pytest.mark.parametrize("kind", ["e", "f", "d"])
def test_floats_may_differ_a_little(kind: str) -> None:
    assert compared(floats(0.5, 0.25, kind=kind), floats(0.5, 0.25, kind=kind)) == (False, 0)
    differs, largest = compared(floats(0.5, 0.25, kind=kind), floats(0.5, 0.2505, kind=kind))
    assert not differs
    assert largest == pytest.approx(0.0005, abs=1e-4)
    differs, largest = compared(floats(0.5, 0.25, kind=kind), floats(0.5, 0.75, kind=kind))
    assert differs
    assert largest == pytest.approx(0.5, abs=1e-3)


def test_large_floats_are_compared_by_their_ratio() -> None:
    assert compared(floats(1_000_000.0), floats(1_000_500.0)) == (False, 500)
    assert compared(floats(1_000_000.0), floats(1_002_000.0)) == (True, 2000)


@pytest.mark.parametrize(
    ("mine", "other", "differs"),
    [(nan, nan, False), (inf, inf, False), (inf, -inf, True), (nan, 1.0, True), (1.0, inf, True)],
)
def test_what_is_no_number_equals_only_its_like(mine: float, other: float, differs: bool) -> None:  # noqa: FBT001
    found = compared(floats(1.0, mine), floats(1.0, other))
    assert found == ((True, None) if differs else (False, 0))


def test_whole_numbers_and_truths_must_be_equal() -> None:
    def whole(*values: int) -> tuple[str, list[int], bytes]:
        return "INT64", [len(values)], struct.pack(f"<{len(values)}q", *values)

    assert compared(whole(7, 3), whole(7, 3)) == (False, 0)
    assert compared(whole(7, 3), whole(7, 5)) == (True, 2)
    assert compared(("BOOL", [2], b"\1\0"), ("BOOL", [2], b"\1\1")) == (True, 1)


@pytest.mark.parametrize("datatype", ["BYTES", "BF16"])
def test_what_has_no_numbers_is_compared_as_bytes(datatype: str) -> None:
    assert compared((datatype, [1], b"ab"), (datatype, [1], b"ab")) == (False, None)
    assert compared((datatype, [1], b"ab"), (datatype, [1], b"ac")) == (True, None)


def test_another_type_or_shape_differs() -> None:
    assert compared(floats(1.0, 2.0), floats(1.0)) == (True, None)
    assert compared(floats(1.0), floats(1.0, kind="d")) == (True, None)
    assert compared(floats(1.0), ("FP32", [1, 1], bytes(4))) == (True, None)


def test_a_tensor_that_only_one_answer_holds_differs() -> None:
    found = compare(answer(a=floats(1.0), b=floats(1.0)), answer(b=floats(1.0), c=floats(1.0)), tolerance=1)
    assert {each.name: each.differs for each in found} == {"a": True, "b": False, "c": True}


def test_an_answer_that_is_broken_is_none() -> None:
    response = oip.ModelInferResponse(model_name="digits")
    response.outputs.add(name="t", datatype="FP32", shape=[1])
    with pytest.raises(ValueError, match="argument"):
        Answer.read(response.SerializeToString())


def test_labels_are_compared_by_what_they_mean() -> None:
    stable = ServedModel("digits", "1", ("1",), "", True, "", (), (), 0, ("zero", "one"), "", "")
    swapped = replace(stable, labels=("one", "zero"))

    def said(index: int) -> Answer:
        return answer(label=("INT64", [1], struct.pack("<q", index)))

    assert not labels_differ(said(0), said(0), (stable, stable))
    assert labels_differ(said(0), said(1), (stable, stable))
    assert labels_differ(said(0), said(0), (stable, swapped))
    assert not labels_differ(said(0), said(1), (stable, swapped))
    assert labels_differ(said(0), answer(), (stable, stable))
    assert not labels_differ(said(0), said(1), (stable, replace(stable, labels=()))), "it is no classifier"
