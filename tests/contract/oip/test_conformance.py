"""The Open Inference Protocol, vector by vector: our gateway passes all; where Triton differs is written down."""

from pathlib import Path
from typing import Protocol

import pytest
import yaml
from oip_conformance.judge import cases, judge
from oip_conformance.target import Target
from oip_conformance.transports import Vector

TRITON_DIFFERENCES = Path(__file__).parent / "triton_differences.yaml"
CASES = {name: (transport, vector) for name, transport, vector in cases()}

# What shows that an extension works.
OFFERED = {
    "binary_tensor_data": ["rest_binary: a row is answered", "body: one raw tensor alone"],
    "classification": ["rest_json: classification", "grpc_raw: classification"],
    "model_configuration": ["rest: model configuration", "grpc: model configuration"],
    "model_repository(index)": ["rest: repository index", "grpc: repository index"],
    "parameters": ["rest_json: a parameter of one's own passes", "grpc_raw: a parameter of one's own passes"],
    "schedule_policy": ["rest_json: a timeout that is ample", "grpc_raw: a timeout of a microsecond"],
    "sequence": ["rest_json: a sequence of one step", "grpc_raw: a sequence with a name"],
    "statistics": ["rest: model statistics", "grpc: statistics of all models"],
}
# What shows that one is refused: an extension that worked in silence would be missing from the list.
REFUSED = {
    "cuda_shared_memory": ["rest: CUDA shared memory is not offered", "grpc: CUDA shared memory is not offered"],
    "logging": ["rest: log settings are not offered", "grpc: log settings are not offered"],
    "model_repository": ["rest: loading a model is not offered", "grpc: loading a model is not offered"],
    "model_repository(unload_dependents)": ["grpc: unloading a model is not offered"],
    "system_shared_memory": ["grpc_raw: an input in shared memory", "grpc: system shared memory is not offered"],
    "trace": ["rest: trace settings are not offered", "grpc: trace settings are not offered"],
}


class KitServers(Protocol):
    gateway: Target
    triton: Target


@pytest.mark.requirement("OIP-001")
@pytest.mark.parametrize(("transport", "vector"), CASES.values(), ids=CASES.keys())
def test_the_gateway_answers_as_the_vector_says(kit_servers: KitServers, transport: str, vector: Vector) -> None:
    assert judge(kit_servers.gateway, transport, vector) == ""


@pytest.mark.requirement("OIP-002")
def test_triton_differs_exactly_where_the_list_says(kit_servers: KitServers) -> None:
    listed = yaml.safe_load(TRITON_DIFFERENCES.read_text())
    found = {
        name: wrong.partition(":")[0]
        for name, (transport, vector) in CASES.items()
        if transport not in vector.get("ends_triton", ()) and (wrong := judge(kit_servers.triton, transport, vector))
    }
    assert found == listed


@pytest.mark.requirement("OIP-003")
def test_the_extensions_that_are_listed_are_those_that_work(kit_servers: KitServers) -> None:
    listed = extensions(kit_servers.gateway)
    assert sorted(listed) == sorted(OFFERED)
    assert sorted({*OFFERED, *REFUSED} - {"model_repository(index)"}) == sorted(extensions(kit_servers.triton))
    shown = [name for names in (*OFFERED.values(), *REFUSED.values()) for name in names]
    assert {name: wrong for name in shown if (wrong := judge(kit_servers.gateway, *CASES[name]))} == {}


def extensions(target: Target) -> list[str]:
    listed: list[str] = yaml.safe_load(target.send("/v2", method="GET").body)["extensions"]
    return listed
