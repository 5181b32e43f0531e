"""The launcher as a process, around a real Triton."""

import asyncio
import json
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Any

import grpc
import pytest
from local_stack.eventually import eventually
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

pytestmark = [pytest.mark.component, pytest.mark.xdist_group("inference")]


def failed_with(launcher: Any) -> str:
    """Wait for the launcher's own end and return the reason that it logged."""
    assert launcher.process.wait_ended(60) == 1
    (entry,) = launcher.entries("process.start_failed") + launcher.entries("process.failed")
    return str(entry["reason"])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.requirement("INFERENCE-001", "INFERENCE-004")
def test_the_pinned_package_is_served_under_its_version_and_digest(
    served: Any, triton: GRPCInferenceServiceStub, one_row: pb.ModelInferRequest, pinned_digest: str
) -> None:
    config = triton.ModelConfig(pb.ModelConfigRequest(name="digits"), timeout=5).config
    assert config.parameters["digest"].string_value == pinned_digest
    answer = triton.ModelInfer(one_row, timeout=5)
    assert [int(answer.model_version)] == list(config.version_policy.specific.versions)
    assert [output.name for output in answer.outputs] == ["label", "probabilities"]


@pytest.mark.requirement("INFERENCE-005")
def test_it_is_ready_only_after_the_golden_vectors_passed(served: Any, pinned_digest: str) -> None:
    (passed,) = served.entries("golden.passed")
    (started,) = served.entries("process.started")
    assert passed["digest"] == pinned_digest
    assert str(passed["timestamp"]) <= str(started["timestamp"])


@pytest.mark.requirement("INFERENCE-010")
async def test_requests_of_different_callers_share_batches(served: Any, one_row: pb.ModelInferRequest) -> None:
    async with grpc.aio.insecure_channel(served.grpc_address) as channel:
        triton = GRPCInferenceServiceStub(channel)
        answers = await asyncio.gather(*(triton.ModelInfer(one_row, timeout=10) for _ in range(400)))
        statistics = await triton.ModelStatistics(pb.ModelStatisticsRequest(name="digits"), timeout=5)
    assert len({answer.SerializeToString() for answer in answers}) == 1, "a batch must not mix up its rows"
    assert max(batch.batch_size for batch in statistics.model_stats[0].batch_stats) > 1


async def test_every_caller_of_a_batch_gets_the_rows_that_are_its_own(served: Any) -> None:
    def request(rows: int, brightness: float) -> pb.ModelInferRequest:
        made = pb.ModelInferRequest(model_name="digits")
        made.inputs.add(name="pixels", datatype="FP32", shape=[rows, 64])
        made.raw_input_contents.append(struct.pack(f"<{64 * rows}f", *[brightness] * 64 * rows))
        return made

    async with grpc.aio.insecure_channel(served.grpc_address) as channel:
        infer = GRPCInferenceServiceStub(channel).ModelInfer
        sizes = [1 + index % 3 for index in range(64)]
        alone = [await infer(request(1, index % 16), timeout=5) for index in range(16)]
        together = await asyncio.gather(*(infer(request(n, i % 16), timeout=10) for i, n in enumerate(sizes)))
    for index, (size, answer) in enumerate(zip(sizes, together, strict=True)):
        expected = struct.unpack("<10f", alone[index % 16].raw_output_contents[1])
        rows = struct.unpack(f"<{10 * size}f", answer.raw_output_contents[1])
        assert rows == pytest.approx(expected * size, abs=1e-5)


def test_a_wrong_tensor_is_the_callers_fault_and_shows_no_stack(
    triton: GRPCInferenceServiceStub, one_row: pb.ModelInferRequest
) -> None:
    one_row.inputs[0].shape[:] = [2, 32]
    with pytest.raises(grpc.RpcError) as refused:
        triton.ModelInfer(one_row, timeout=5)
    assert isinstance(refused.value, grpc.Call)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "File" not in str(refused.value.details())


@pytest.mark.requirement("INFERENCE-005")
def test_a_model_that_misses_its_golden_vectors_is_never_ready(launch: Any, write_package: Any, released: Any) -> None:
    golden = json.loads(released.files["golden.json"])
    golden["outputs"][1]["data"][0] += 0.01
    written = write_package(released.files | {"golden.json": json.dumps(golden).encode()}, released.contract)
    launcher = launch(pins=written.pin, models=str(written.models))
    assert "Golden check failed: output 'probabilities' of digits is " in failed_with(launcher)
    assert launcher.entries("process.started") == []


@pytest.mark.requirement("INFERENCE-005")
def test_a_model_that_triton_cannot_load_ends_the_start_with_tritons_reason(
    launch: Any, write_package: Any, released: Any
) -> None:
    written = write_package(released.files | {"model.onnx": b"no graph"}, released.contract)
    launcher = launch(pins=written.pin, models=str(written.models))
    reason = failed_with(launcher)
    assert "Triton ended with exit code 1" in reason
    assert "failed to load 'digits' version 3" in reason


@pytest.mark.requirement("INFERENCE-002", "INFERENCE-003")
@pytest.mark.parametrize(
    ("pins", "reason"),
    [("", "INFERENCE_PINS names no model"), ("digits@sha256:" + "0" * 64, "No release ")],
    ids=["no pin", "unknown digest"],
)
def test_a_wrong_pin_ends_the_start_before_triton(launch: Any, pins: str, reason: str) -> None:
    launcher = launch(pins=pins)
    assert failed_with(launcher).startswith(reason)
    assert launcher.entries("triton.starting") == []


@pytest.mark.requirement("INFERENCE-006")
def test_a_taken_port_ends_the_start_with_the_setting_that_moves_it(launch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        reason = failed_with(launch(triton_grpc_port=str(port)))
    assert reason.startswith(f"INFERENCE_TRITON_GRPC_PORT: cannot listen on 127.0.0.1:{port}")


@pytest.mark.requirement("INFERENCE-007")
def test_the_launcher_exits_1_with_one_line_when_triton_dies(launch: Any) -> None:
    launcher = launch()
    launcher.process.wait_ready()
    triton, *_ = launcher.process.descendants()
    os.kill(triton, signal.SIGKILL)
    assert failed_with(launcher).startswith("Triton was killed by SIGKILL. Nothing is served without it")


@pytest.mark.requirement("INFERENCE-008")
def test_sigterm_stops_triton_and_exits_0(launch: Any) -> None:
    launcher = launch()
    launcher.process.wait_ready()
    family = launcher.process.descendants()
    assert len(family) == 2, "Triton and the process of its one model instance"
    launcher.process.terminate()
    assert launcher.process.wait_ended(60) == 0
    assert [pid for pid in family if is_running(pid)] == []
    assert [entry["exit_code"] for entry in launcher.entries("triton.stopped")] == [0]


@pytest.mark.requirement("INFERENCE-008")
def test_sigterm_while_triton_starts_leaves_nothing_behind(launch: Any) -> None:
    launcher = launch()
    eventually(lambda: launcher.process.log.exists() and launcher.entries("triton.starting"), within=30)
    family = eventually(launcher.process.descendants)
    launcher.process.terminate()
    assert launcher.process.wait_ended(60) == 0
    assert [pid for pid in family if is_running(pid)] == []
    assert launcher.entries("process.started") == []


@pytest.mark.requirement("INFERENCE-012")
def test_it_is_not_ready_while_triton_does_not_answer(served: Any) -> None:
    triton, *_ = served.process.descendants()
    os.kill(triton, signal.SIGSTOP)
    try:
        eventually(lambda: "triton" in served.process.obstacles(), within=30)
    finally:
        os.kill(triton, signal.SIGCONT)
    eventually(lambda: not served.process.obstacles(), within=30)


@pytest.mark.requirement("INFERENCE-009")
def test_triton_does_not_outlive_a_launcher_that_is_killed(launch: Any) -> None:
    launcher = launch()
    launcher.process.wait_ready()
    family = launcher.process.descendants()
    os.kill(launcher.process.pid, signal.SIGKILL)
    eventually(lambda: not any(map(is_running, family)), within=10)
