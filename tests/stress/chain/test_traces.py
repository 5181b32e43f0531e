"""One trace id runs from the caller through every service into logs, records and spans."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import httpx2
import pytest
from fairlead.gateway.v1 import gateway_pb2
from fairlead.gateway.v1.gateway_pb2_grpc import PredictionServiceStub
from local_stack.eventually import eventually
from local_stack.first_picture import PICTURE
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

pytestmark = [pytest.mark.component, pytest.mark.timeout(180)]

TRACES = {"rest": "0af7651916cd43dd8448eb211c80319c", "grpc": "4bf92f3577b34da6a3ce929d0e0e4736"}
CALLER = "b7ad6b7169203331"
TRANSFORM = "/fairlead.preprocessing.v1.PreprocessingService/Transform"
INFER = "/inference.GRPCInferenceService/ModelInfer"
ENTRANCE = {
    "rest": "/v1/models/{model}:predict",
    "grpc": "/fairlead.gateway.v1.PredictionService/Predict",
}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """The standard OTLP endpoint."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []

    def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the name in the protocol
        for each in request.resource_spans:
            (service,) = (a.value.string_value for a in each.resource.attributes if a.key == "service.name")
            self.spans += [(service, span) for scope in each.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, trace: str) -> dict[tuple[str, str, str], Span]:
        """The spans of one trace by service, kind and name."""
        return {
            (service, Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(), span.name): span
            for service, span in list(self.spans)
            if span.trace_id.hex() == trace
        }


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    servicer = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    server.stop(0)


def predict(stack: Any, transport: str) -> tuple[str, str]:
    """Predict within a trace; return the trace id that the caller is told, and the prediction's id."""
    traceparent = f"00-{TRACES[transport]}-{CALLER}-01"
    if transport == "rest":
        headers = {"content-type": "image/png", "traceparent": traceparent}
        url = stack.http_url + "/v1/models/digits:predict"
        answer = httpx2.post(url, content=PICTURE.read_bytes(), headers=headers, timeout=20)
        assert answer.headers["x-trace-id"] == answer.json()["trace_id"]
        return answer.json()["trace_id"], answer.json()["prediction_id"]
    request = gateway_pb2.PredictRequest(model="digits", image=PICTURE.read_bytes())
    with grpc.insecure_channel(stack.grpc_address) as channel:
        metadata = (("traceparent", traceparent),)
        prediction = PredictionServiceStub(channel).Predict(request, timeout=20, metadata=metadata).prediction
    return prediction.trace_id, prediction.prediction_id


def logged(service: Any, trace: str) -> list[str]:
    lines = (json.loads(line) for line in service.log.read_text().splitlines())
    return [line["event"] for line in lines if line.get("trace_id") == trace]


@pytest.mark.requirement("STRESS-118", "STRESS-119")
@pytest.mark.parametrize("traced", [True, False], ids=["with a collector", "without a collector"])
def test_the_callers_trace_runs_through_answers_logs_records_and_spans(
    start_services: Any, collector: tuple[Collector, str], *, traced: bool
) -> None:
    received, endpoint = collector
    telemetry = {"otlp_endpoint": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"} if traced else {}
    services = start_services(gateway={"access_log": "true", **telemetry}, preprocessing=telemetry)
    for transport, trace in TRACES.items():
        told, prediction = predict(services.stack, transport)
        assert told == trace
        assert eventually(partial(trace_of_record, services, prediction)) == trace
    for trace in TRACES.values():
        assert eventually(partial(logged, services.stack["gateway"], trace)) == ["request.completed"]
    if traced:
        for transport in TRACES:
            spans = eventually(partial(whole, received, transport), within=20)
            assert_one_tree(spans, ENTRANCE[transport])


def trace_of_record(services: Any, prediction: str) -> str | None:
    trace: str | None = services.recorded().get(prediction)
    return trace


def whole(received: Collector, transport: str) -> dict[tuple[str, str, str], Span]:
    """The spans of a prediction once all have come."""
    spans = received.of(TRACES[transport])
    wanted = {
        ("gateway", "server", ENTRANCE[transport]),
        ("gateway", "client", TRANSFORM),
        ("gateway", "client", INFER),
        ("preprocessing", "server", TRANSFORM),
    }
    return spans if wanted <= spans.keys() else {}


def assert_one_tree(spans: dict[tuple[str, str, str], Span], entrance: str) -> None:
    """Caller, gateway's entrance, its calls, and preprocessing below the call to it."""
    entered = spans["gateway", "server", entrance]
    calls = {name: spans["gateway", "client", name] for name in (TRANSFORM, INFER)}
    assert entered.parent_span_id.hex() == CALLER
    assert {call.parent_span_id for call in calls.values()} == {entered.span_id}
    assert spans["preprocessing", "server", TRANSFORM].parent_span_id == calls[TRANSFORM].span_id
