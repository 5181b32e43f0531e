"""What platforms and people point at a gRPC server: health probes, reflection, grpcurl."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from local_stack.eventually import eventually
from local_stack.stack import Stack
from tritonclient.grpc import service_pb2 as oip

SERVICE = "inference.GRPCInferenceService"


@pytest.fixture
def channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.grpc_address) as opened:
        yield opened


@pytest.mark.requirement("OIP-013")
@pytest.mark.parametrize("service", ["", SERVICE, "fairlead.gateway.v1.PredictionService"])
def test_a_health_probe_finds_each_service_serving(channel: grpc.Channel, service: str) -> None:
    probe = health_pb2_grpc.HealthStub(channel)
    asked = health_pb2.HealthCheckRequest(service=service)
    # gRPC health follows /readyz, which the stack has waited for, within a second.
    eventually(lambda: probe.Check(asked, timeout=5).status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.requirement("OIP-013")
def test_a_health_probe_of_an_unknown_service_is_not_found(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=5)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.requirement("OIP-014")
def test_reflection_describes_the_whole_service(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert SERVICE in database.get_services()
    described = DescriptorPool(database).FindServiceByName(SERVICE)
    wanted = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert [method.name for method in described.methods] == [method.name for method in wanted.methods]
    sent = described.methods_by_name["ModelInfer"].input_type
    assert [field.name for field in sent.fields] == [field.name for field in oip.ModelInferRequest.DESCRIPTOR.fields]


@pytest.mark.timeout(600)  # where Go has to build it first
@pytest.mark.requirement("RUNTIME-013")
def test_the_door_keeps_every_rule_of_http2(stack: Stack, h2spec: Path, run_program: Callable[..., str]) -> None:
    host, _, port = stack.grpc_address.rpartition(":")
    printed = run_program([h2spec, "--host", host, "--port", port, "--timeout", "5"])
    assert "145 tests, 145 passed, 0 skipped, 0 failed" in printed


@pytest.mark.timeout(600)  # where Go has to build it first
@pytest.mark.requirement("OIP-014")
def test_grpcurl_calls_a_model_that_it_knows_by_reflection_alone(
    stack: Stack, grpcurl: Path, run_program: Callable[..., str]
) -> None:
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, 64], "contents": {"fp32_contents": [0] * 64}}
    asked = json.dumps({"model_name": "digits", "inputs": [tensor]})
    printed = run_program([grpcurl, "-plaintext", "-d", asked, stack.grpc_address, f"{SERVICE}/ModelInfer"])
    answer = json.loads(printed)
    assert [output["name"] for output in answer["outputs"]] == ["label", "probabilities"]
    (probabilities,) = answer["outputs"][1]["contents"].values()
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
