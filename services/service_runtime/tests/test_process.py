"""The life of a real process: start, drain on SIGTERM, failures."""

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from local_stack.eventually import eventually

StartSample = Callable[..., Any]


def call(sample: Any, channel: grpc.Channel, method: str) -> Any:
    ask: Any = channel.unary_unary(f"/sample.Sample/{method}")
    return ask.future(b"", timeout=10)


@pytest.mark.requirement("RUNTIME-001")
def test_sigterm_drains_in_order_and_the_call_in_flight_is_answered(start_sample: StartSample) -> None:
    sample = start_sample()
    with grpc.insecure_channel(sample.grpc_address) as channel:
        answer = call(sample, channel, "Hold")
        sample.wait_for("sample.holding")
        sample.process.send_signal(signal.SIGTERM)
        assert answer.result() == b"finished while draining"
    assert sample.process.wait(10) == 0
    order = ["process.started", "process.draining", "sample.left", "sample.server_stopped", "process.stopped"]
    assert [event for event in sample.events() if event in order] == order


@pytest.mark.requirement("RUNTIME-001")
def test_while_it_drains_it_says_not_ready_and_still_serves(start_sample: StartSample) -> None:
    sample = start_sample(drain_delay="1.5")
    with grpc.insecure_channel(sample.grpc_address) as channel:
        sample.wait_for("process.started")
        sample.process.send_signal(signal.SIGTERM)
        sample.wait_for("process.draining")
        assert sample.operations("/readyz") == (503, {"status": "not ready", "failures": {"process": "draining"}})
        assert sample.operations("/livez")[0] == 200
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert call(sample, channel, "Trace").result()
    assert sample.process.wait(10) == 0


def test_a_call_that_outlives_the_grace_is_cut(start_sample: StartSample) -> None:
    sample = start_sample(grace="0.2")
    with grpc.insecure_channel(sample.grpc_address) as channel:
        answer = call(sample, channel, "Hang")
        sample.wait_for("sample.holding")
        sample.process.send_signal(signal.SIGTERM)
        assert answer.exception().code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert sample.process.wait(10) == 0


def test_ctrl_c_stops_like_sigterm(start_sample: StartSample) -> None:
    sample = start_sample()
    sample.wait_for("process.started")
    sample.process.send_signal(signal.SIGINT)
    assert sample.process.wait(10) == 0


def test_sigterm_during_a_slow_start_stops_at_once(start_sample: StartSample) -> None:
    sample = start_sample(start_blocked="true")
    sample.wait_for("sample.blocked")
    assert sample.operations("/readyz") == (503, {"status": "not ready", "failures": {"process": "starting"}})
    sample.process.send_signal(signal.SIGTERM)
    assert sample.process.wait(10) == 0
    assert "process.start_interrupted" in sample.events()


def test_a_failure_that_the_service_reports_ends_it_with_exit_code_one(start_sample: StartSample) -> None:
    sample = start_sample(fails_at_once="true")
    assert sample.process.wait(10) == 1
    assert sample.wait_for("process.failed")["reason"] == "its engine died"


@pytest.mark.requirement("RUNTIME-002")
@pytest.mark.parametrize(("setting", "form"), [("grpc_address", "127.0.0.1:{port}"), ("operations_port", "{port}")])
def test_a_taken_port_is_named_and_no_stack_is_shown(start_sample: StartSample, setting: str, form: str) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        sample = start_sample(**{setting: form.format(port=port)})
        assert sample.process.wait(10) == 1
    reason = sample.wait_for("process.start_failed")["reason"]
    assert f"cannot listen on 127.0.0.1:{port}" in reason
    assert not any("exception" in line for line in sample.lines())


@pytest.mark.requirement("RUNTIME-010")
def test_settings_that_cannot_be_used_are_all_named_by_their_variables(start_sample: StartSample) -> None:
    sample = start_sample(grace="soon", log_level="chatty")
    assert sample.process.wait(10) == 2
    assert "SAMPLE_GRACE: Input should be a valid number" in sample.output()
    assert "It is 'soon'." in sample.output()
    assert "SAMPLE_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'. It is 'chatty'." in sample.output()
    assert "Traceback" not in sample.output()


@pytest.mark.requirement("RUNTIME-003")
def test_readiness_and_health_follow_the_dependency(start_sample: StartSample, tmp_path: Any) -> None:
    ready = tmp_path / "ready"
    sample = start_sample(ready_file=str(ready))
    sample.wait_for("process.started")
    assert sample.operations("/readyz") == (503, {"status": "not ready", "failures": {"file": "ready is missing"}})
    ready.touch()
    eventually(lambda: sample.operations("/readyz")[0] == 200)
    with grpc.insecure_channel(sample.grpc_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def status(service: str) -> int:
            return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status)

        eventually(lambda: status("") == status("sample.Sample") == health_pb2.HealthCheckResponse.SERVING)
        ready.unlink()
        eventually(lambda: status("sample.Sample") == health_pb2.HealthCheckResponse.NOT_SERVING)


def test_the_operations_port_tells_build_and_settings(start_sample: StartSample) -> None:
    sample = start_sample(git_commit="abc123")
    sample.wait_for("process.started")
    assert sample.operations("/buildz") == (200, {"git_commit": "abc123"})
    status, settings = sample.operations("/configz")
    assert status == 200
    assert settings["git_commit"] == "abc123"


def test_an_uncaught_exception_is_logged_with_its_trace_and_hidden_from_the_caller(start_sample: StartSample) -> None:
    sample = start_sample()
    with grpc.insecure_channel(sample.grpc_address) as channel:
        error = call(sample, channel, "Explode").exception()
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "swordfish" not in error.details()
    trailers = dict(error.trailing_metadata())
    logged = sample.wait_for("grpc.call_failed")
    assert logged["trace_id"] == trailers["x-trace-id"]
    assert "swordfish" in logged["exception"]
    assert logged["level"] == "error"
    assert logged["service"] == "sample"


@pytest.mark.requirement("RUNTIME-014")
def test_a_service_does_not_push_aside_who_woke_it(start_sample: StartSample) -> None:
    sample = start_sample()
    sample.wait_for("process.started")
    assert os.sched_getscheduler(sample.process.pid) == os.SCHED_BATCH
