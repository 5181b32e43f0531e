"""More than a thousand malformed requests: one code for one mistake, never a failure, and everybody lives."""

import json
from collections.abc import Iterator
from typing import Any, Protocol

import grpc
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oip_conformance.target import Target, refusal
from oip_conformance.transports import HEADER_LENGTH, TRANSPORTS, Vector, send
from tritonclient.grpc import service_pb2 as oip

ROW = (1.0, 2.0, 3.0)
LARGEST_BATCH = 4
REFUSALS = {"INVALID_ARGUMENT", "NOT_FOUND"}
HARMLESS = {"OK", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", *REFUSALS}

many = settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
int64 = st.integers(-(2**63), 2**63 - 1)
dimensions = st.one_of(st.integers(-2, 6), st.sampled_from([2**31, 2**32 + 1, 10**12, 2**62 + 1, 2**63 - 1]), int64)
names = st.one_of(st.sampled_from(["row", "twice", "", "Row", "../row", "row\u0000"]), st.text(max_size=80))
datatypes = st.sampled_from(["FP32", "FP64", "INT32", "BYTES", "BOOL", "FP16", "", "fp32", "FLOAT", "TYPE_FP32"])


class KitServers(Protocol):
    gateway: Target
    triton: Target


@pytest.fixture(autouse=True)
def everybody_lives(kit_servers: KitServers) -> Iterator[None]:
    """Triton and gateway answer after each test as before it."""
    yield
    sane = {"model": "oip_rows", "request": {"inputs": [tensor()]}}
    for target in (kit_servers.gateway, kit_servers.triton):
        assert {transport: send(transport, target, sane).code for transport in TRANSPORTS} == dict.fromkeys(
            TRANSPORTS, "OK"
        )


@pytest.mark.requirement("OIP-004")
@many
@given(data=st.data())
def test_one_mistake_has_one_code_on_every_encoding(kit_servers: KitServers, data: st.DataObject) -> None:
    vector = data.draw(mistaken_requests())
    codes = {transport: send(transport, kit_servers.gateway, vector).code for transport in TRANSPORTS}
    assert set(codes.values()) <= REFUSALS
    assert len(set(codes.values())) == 1, codes


@pytest.mark.requirement("OIP-004")
@many
@given(data=st.data())
def test_a_broken_json_body_is_no_failure(kit_servers: KitServers, data: st.DataObject) -> None:
    body = data.draw(broken(json.dumps({"id": "1", "inputs": [tensor()], "outputs": [{"name": "twice"}]}).encode()))
    assert kit_servers.gateway.send("/v2/models/oip_rows/infer", body).code in HARMLESS


@pytest.mark.requirement("OIP-004")
@many
@given(data=st.data())
def test_json_of_another_form_is_no_failure(kit_servers: KitServers, data: st.DataObject) -> None:
    anything = st.recursive(
        st.none() | st.booleans() | int64 | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
        max_leaves=12,
    )
    body = json.dumps(data.draw(st.dictionaries(st.sampled_from(KEYS), anything, max_size=5))).encode()
    assert kit_servers.gateway.send("/v2/models/oip_rows/infer", body).code in REFUSALS


@pytest.mark.requirement("OIP-004")
@many
@given(data=st.data())
def test_a_broken_binary_body_is_no_failure(kit_servers: KitServers, data: st.DataObject) -> None:
    header = {key: value for key, value in tensor().items() if key != "data"}
    text = json.dumps({"inputs": [{**header, "parameters": {"binary_data_size": 12}}]}).encode()
    body = data.draw(broken(text + bytes(12)))
    length = data.draw(st.one_of(st.just(str(len(text))), st.integers(-5, 200).map(str), st.sampled_from(LENGTHS)))
    reply = kit_servers.gateway.send("/v2/models/oip_rows/infer", body, headers={HEADER_LENGTH: length})
    assert reply.code in HARMLESS


@pytest.mark.requirement("OIP-004")
@many
@given(data=st.data())
def test_a_broken_message_is_no_failure(kit_servers: KitServers, data: st.DataObject) -> None:
    request = oip.ModelInferRequest(model_name="oip_rows", id="1", raw_input_contents=[bytes(12)])
    request.inputs.add(name="row", datatype="FP32", shape=[1, 3])
    request.outputs.add(name="twice").parameters["binary_data"].bool_param = True
    message = data.draw(broken(request.SerializeToString()))
    assert code_of_call(kit_servers.gateway, message) in HARMLESS


KEYS = ("inputs", "outputs", "parameters", "name", "datatype", "shape", "data", "id", "binary_data_size", "timeout")
LENGTHS = ("", "1e3", "0x10", "9" * 30, "\u0661".encode().decode("latin-1"), " 10", "10 ", "+10", "1_0")


def code_of_call(target: Target, message: bytes) -> str:
    try:
        target.call("ModelInfer", message)
    except grpc.RpcError as error:
        return refusal(error).code
    return "OK"


def tensor() -> dict[str, Any]:
    return {"name": "row", "datatype": "FP32", "shape": [1, 3], "data": list(ROW)}


@st.composite
def mistaken_requests(draw: st.DrawFn) -> Vector:
    """Build a request with at least one mistake that every encoding can express."""
    sent = tensor()
    request: dict[str, Any] = {"inputs": [sent]}
    model = "oip_rows"
    mistake = draw(st.sampled_from(["name", "datatype", "shape", "data", "inputs", "outputs", "model"]))
    if mistake == "name":
        sent["name"] = draw(names.filter(lambda name: name != "row"))
    elif mistake == "datatype":
        sent |= {"datatype": draw(datatypes.filter(lambda datatype: datatype != "FP32")), "packed_as": "FP32"}
    elif mistake == "shape":
        sent["shape"] = draw(st.lists(dimensions, max_size=4).filter(lambda shape: shape != [1, 3]))
    elif mistake == "data":
        sent["data"] = draw(st.lists(st.floats(-1e6, 1e6, width=32), max_size=16))
        sent["shape"] = [draw(st.integers(1, LARGEST_BATCH)), 3]
        assume(len(sent["data"]) != sent["shape"][0] * 3)
    elif mistake == "inputs":
        request["inputs"] = draw(st.sampled_from([[], [sent, sent], [sent, {**sent, "name": "column"}]]))
    elif mistake == "outputs":
        request["outputs"] = [{"name": draw(names.filter(lambda name: name != "twice"))}]
    else:
        model = draw(st.sampled_from(["oip_none", "oip_row", "oip_rows.", "%2e%2e", "a" * 300]))
    return {"model": model, "request": request}


@st.composite
def broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """Cut, flip, repeat and insert bytes."""
    damaged = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(damaged)))
        how = draw(st.sampled_from(["cut", "flip", "repeat", "insert"]))
        if how == "cut":
            del damaged[at : at + draw(st.integers(1, 20))]
        elif how == "flip" and at < len(damaged):
            damaged[at] ^= draw(st.integers(1, 255))
        elif how == "repeat":
            damaged[at:at] = damaged[at : at + draw(st.integers(1, 20))] * draw(st.integers(1, 50))
        else:
            damaged[at:at] = draw(st.binary(min_size=1, max_size=12))
    return bytes(damaged)
