from dataclasses import replace

import pytest
from gateway.catalog import ServedModel, TensorSpec
from gateway.oip.validation import check_header, check_tensors
from service_runtime.errors import InvalidInput
from tritonclient.grpc import service_pb2 as oip

PAIRS = ServedModel(
    name="pairs",
    version="1",
    versions=("1",),
    platform="python",
    ready=True,
    digest="",
    inputs=(TensorSpec("left", "INT8", (-1, -1)), TensorSpec("right", "INT8", (-1, -1), optional=True)),
    outputs=(TensorSpec("both", "INT8", (-1, -1)),),
    max_batch_size=8,
    labels=(),
    feature_spec="",
    feature_spec_digest="",
)


def request(**shapes: list[int]) -> oip.ModelInferRequest:
    asked = oip.ModelInferRequest(model_name="pairs")
    for name, shape in shapes.items():
        asked.inputs.add(name=name, datatype="INT8", shape=shape)
    return asked


def test_an_optional_input_may_be_absent_and_a_dimension_empty() -> None:
    asked = request(left=[2, 0])
    check_header(PAIRS, asked)
    check_tensors(asked, [b""])


@pytest.mark.parametrize(
    ("shapes", "field"),
    [
        ({"right": [1, 1]}, "inputs"),
        ({"left": [9, 1]}, "inputs[0].shape"),
        ({"left": [2, 1], "right": [3, 1]}, "inputs[1].shape"),
        ({"left": [1, 2**31]}, "inputs[0].shape"),
        ({"left": [0, 2**63 - 1]}, "inputs[0].shape"),
        ({"left": [1, -1]}, "inputs[0].shape"),
    ],
)
def test_the_violation_names_the_field(shapes: dict[str, list[int]], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_header(PAIRS, request(**shapes))
    assert [violation.field for violation in refused.value.violations] == [field]


def test_an_empty_tensor_of_an_impossible_shape_is_refused() -> None:
    unbatched = replace(PAIRS, max_batch_size=0)
    with pytest.raises(InvalidInput, match="more elements"):
        check_header(unbatched, request(left=[2**40, 0]))
