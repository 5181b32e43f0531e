"""What surrounds a tensor on REST: deadlines, compression and limits."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Protocol

import pytest
from oip_conformance.target import Target
from oip_conformance.transports import HEADER_LENGTH

INFER = "/v2/models/oip_rows/infer"
ROW = json.dumps({"inputs": [{"name": "row", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}).encode()
MIB = 1024 * 1024


class KitServers(Protocol):
    gateway: Target


@pytest.mark.requirement("OIP-016")
@pytest.mark.parametrize("milliseconds", ["", "0", "-1", "1.5", "ten", "1e3", "9" * 5000])
def test_a_timeout_header_that_is_no_number_of_milliseconds_is_refused(
    kit_servers: KitServers, milliseconds: str
) -> None:
    reply = kit_servers.gateway.send(INFER, ROW, headers={"X-Request-Timeout-Ms": milliseconds})
    assert reply.failure().code == "INVALID_ARGUMENT"


@pytest.mark.requirement("OIP-009")
@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_request_is_answered(
    kit_servers: KitServers, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    header = json.dumps(
        {"inputs": [{"name": "row", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}]}
    ).encode()
    for body, headers in ((ROW, {}), (header + bytes(12), {HEADER_LENGTH: str(len(header))})):
        reply = kit_servers.gateway.send(INFER, compress(body), headers={"Content-Encoding": encoding, **headers})
        assert reply.status == 200


@pytest.mark.requirement("OIP-017")
@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_body_that_grows_over_the_limit_is_refused(
    kit_servers: KitServers, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    reply = kit_servers.gateway.send(INFER, compress(bytes(64 * MIB)), headers={"Content-Encoding": encoding})
    assert reply.status == 413


@pytest.mark.requirement("OIP-017")
def test_json_has_a_limit_of_its_own_and_says_what_to_use(kit_servers: KitServers) -> None:
    reply = kit_servers.gateway.send(INFER, b" " * 5 * MIB + ROW)
    assert reply.status == 413
    assert "binary" in reply.failure().message


@pytest.mark.requirement("OIP-017")
def test_a_binary_tensor_may_be_larger_than_json(kit_servers: KitServers) -> None:
    tensor = {"name": "uint8", "datatype": "UINT8", "shape": [6 * MIB], "parameters": {"binary_data_size": 6 * MIB}}
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    reply = kit_servers.gateway.send(
        "/v2/models/oip_datatypes/infer", header + bytes(6 * MIB), headers={HEADER_LENGTH: str(len(header))}
    )
    assert reply.status == 200
    assert len(reply.body) > 6 * MIB
