"""Builds what the gateway is made of; the only module that names concrete classes."""

from dataclasses import dataclass

from service_runtime.admission import AdmissionGate

from gateway.catalog import ModelCatalog, TritonCatalog
from gateway.metrics import RecorderMetrics, RequestMetrics, UpstreamMetrics
from gateway.native.feedback import FeedbackDesk
from gateway.native.latency import LatencyWindow
from gateway.native.predict import Predictor
from gateway.oip.inference import Inference
from gateway.preprocessing import PreprocessingClient
from gateway.recorder import MonitoringRecorder
from gateway.settings import Settings
from gateway.triton import Triton
from gateway.upstream import Upstream

_MESSAGE_OVERHEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything that the APIs call."""

    triton: Triton
    upstreams: tuple[Upstream, ...]
    catalog: ModelCatalog
    inference: Inference
    recorder: MonitoringRecorder
    predictor: Predictor
    feedback: FeedbackDesk
    latencies: LatencyWindow
    gate: AdmissionGate
    metrics: RequestMetrics


def build_collaborators(settings: Settings) -> Collaborators:
    """Connect the real services; nothing is sent before the first request."""
    message_bytes = settings.max_body_bytes + _MESSAGE_OVERHEAD_BYTES
    calls = UpstreamMetrics()
    inference = Upstream("inference", settings.inference_address, max_message_bytes=message_bytes, metrics=calls)
    imaging = Upstream("preprocessing", settings.preprocessing_address, max_message_bytes=message_bytes, metrics=calls)
    triton = Triton(inference)
    catalog = TritonCatalog(triton, ttl=settings.catalog_ttl)
    recorder = MonitoringRecorder(
        settings.monitoring_address,
        capacity=settings.record_buffer,
        flush_seconds=settings.grace / 2,
        metrics=RecorderMetrics(),
    )
    gate = AdmissionGate(settings.max_in_flight, settings.max_queued)
    metrics = RequestMetrics()
    metrics.in_flight.set_function(lambda: gate.in_flight)
    latencies = LatencyWindow()
    predictor = Predictor(
        catalog,
        PreprocessingClient(imaging),
        triton,
        recorder,
        max_batch=settings.max_batch_images,
        latencies=latencies,
    )
    return Collaborators(
        triton=triton,
        upstreams=(inference, imaging),
        catalog=catalog,
        inference=Inference(catalog, triton),
        recorder=recorder,
        predictor=predictor,
        feedback=FeedbackDesk(catalog, recorder),
        latencies=latencies,
        gate=gate,
        metrics=metrics,
    )
