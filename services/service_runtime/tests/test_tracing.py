"""W3C trace context on every hop, and spans that arrive at a real OTLP collector."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from local_stack.eventually import eventually
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2
from service_runtime.tracing import client_span, current_span, server_span

StartSample = Callable[..., Any]

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.requirement("RUNTIME-007")
@pytest.mark.parametrize("flags", ["00", "01", "03"])
def test_a_valid_traceparent_is_continued_with_a_new_span_and_its_sampling(flags: str) -> None:
    with server_span("call", f"00-{TRACE}-{PARENT}-{flags}") as span:
        assert span.trace_id == TRACE
        assert span.span_id != PARENT
        assert span.traceparent() == f"00-{TRACE}-{span.span_id}-{'00' if flags == '00' else '01'}"


@pytest.mark.requirement("RUNTIME-007")
def test_a_later_version_of_the_header_may_be_longer() -> None:
    with server_span("call", f"cc-{TRACE}-{PARENT}-01-what-comes-next") as span:
        assert span.trace_id == TRACE


@pytest.mark.requirement("RUNTIME-007")
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00_{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
    ],
)
def test_a_malformed_traceparent_starts_a_new_trace(header: str | None) -> None:
    with server_span("call", header) as span:
        assert span.trace_id != TRACE
        assert len(bytes.fromhex(span.trace_id)) == 16
        assert len(bytes.fromhex(span.span_id)) == 8


def test_the_current_span_is_that_of_the_request_and_ends_with_it() -> None:
    assert current_span() is None
    with server_span("outer", None) as outer:
        assert current_span() is outer
        with client_span("inner") as inner:
            assert inner.trace_id == outer.trace_id
        assert current_span() is outer
    assert current_span() is None


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """What an OpenTelemetry collector is to a service: the standard OTLP endpoint."""

    def __init__(self) -> None:
        self.resources: list[trace_pb2.ResourceSpans] = []

    def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the name in the protocol
        self.resources.extend(request.resource_spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> dict[str, Any]:
        return {span.name: span for each in self.resources for scope in each.scope_spans for span in scope.spans}

    def attributes(self) -> dict[str, str]:
        return {each.key: each.value.string_value for each in self.resources[0].resource.attributes}


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    servicer = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    server.stop(0)


def ask_for_trace(sample: Any, header: str) -> tuple[str, str]:
    with grpc.insecure_channel(sample.grpc_address) as channel:
        ask: Any = channel.unary_unary("/sample.Sample/Trace")
        answer: bytes = ask(b"", timeout=10, metadata=(("traceparent", header),))
    own, downstream = answer.decode().split()
    return own, downstream


@pytest.mark.requirement("RUNTIME-008", "RUNTIME-007")
def test_spans_arrive_at_the_collector_and_continue_the_callers_trace(
    start_sample: StartSample, collector: tuple[Collector, str]
) -> None:
    received, endpoint = collector
    sample = start_sample(otlp_endpoint=endpoint)
    began = time.time_ns()
    own, downstream = ask_for_trace(sample, f"00-{TRACE}-{PARENT}-01")
    sample.process.terminate()
    assert sample.process.wait(30) == 0, "spans are flushed on the way out"

    spans = eventually(received.spans)
    server, client = spans["/sample.Sample/Trace"], spans["downstream"]
    assert server.trace_id.hex() == client.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == PARENT
    assert client.parent_span_id == server.span_id
    assert own.split("-")[2] == server.span_id.hex()
    assert downstream == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert (server.kind, client.kind) == (trace_pb2.Span.SPAN_KIND_SERVER, trace_pb2.Span.SPAN_KIND_CLIENT)
    assert began <= server.start_time_unix_nano <= client.start_time_unix_nano
    assert client.end_time_unix_nano <= server.end_time_unix_nano
    assert received.attributes()["service.name"] == "sample"
    assert received.attributes()["service.version"] == "1.2.3"


@pytest.mark.requirement("RUNTIME-008")
def test_without_an_endpoint_the_trace_still_runs_through_calls_and_logs(start_sample: StartSample) -> None:
    sample = start_sample()
    own, downstream = ask_for_trace(sample, f"00-{TRACE}-{PARENT}-01")
    assert own.split("-")[1] == downstream.split("-")[1] == TRACE
    line = sample.wait_for("sample.traced")
    assert line["trace_id"] == TRACE
    assert line["span_id"] == own.split("-")[2]


@pytest.mark.requirement("RUNTIME-008")
def test_an_unsampled_trace_leaves_no_spans(start_sample: StartSample, collector: tuple[Collector, str]) -> None:
    received, endpoint = collector
    sample = start_sample(otlp_endpoint=endpoint)
    own, _ = ask_for_trace(sample, f"00-{TRACE}-{PARENT}-00")
    sample.process.terminate()
    assert sample.process.wait(30) == 0
    assert own.endswith("-00")
    assert received.spans() == {}
