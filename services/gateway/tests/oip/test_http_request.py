import pytest
from gateway.catalog import ServedModel, TensorSpec
from gateway.oip.http_request import parse
from service_runtime.errors import InvalidInput

MODEL = ServedModel(
    name="rows",
    version="1",
    versions=("1",),
    platform="python",
    ready=True,
    digest="",
    inputs=(TensorSpec("row", "FP32", (-1, 2)),),
    outputs=(TensorSpec("twice", "FP32", (-1, 2)),),
    max_batch_size=4,
    labels=(),
    feature_spec="",
    feature_spec_digest="",
)


@pytest.mark.requirement("OIP-004")
@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [%s]}' % b",".join([b'{"shape": []}'] * 10_001),
        b'{"inputs": [], "outputs": [%s]}' % b",".join([b"{}"] * 10_001),
        b'{"inputs": [], "parameters": {%s}}' % b",".join(b'"%d": 1' % number for number in range(10_001)),
    ],
    ids=["inputs", "outputs", "parameters"],
)
def test_a_body_of_countless_items_is_refused_before_they_are_looked_at(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="too many"):
        parse(MODEL, "", body, header_length=None, json_limit=1 << 20)
