"""Builds what the gateway is made of; the only module that names concrete classes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_runtime.admission import AdmissionGate

from gateway.callers.door import Door
from gateway.callers.experiment import Experiment, parse_arms
from gateway.callers.quota import Quota
from gateway.catalog import ModelCatalog
from gateway.metrics import (
    CallerMetrics,
    IssuerMetrics,
    RecorderMetrics,
    RequestMetrics,
    ShadowMetrics,
    UpstreamMetrics,
)
from gateway.native.feedback import FeedbackDesk
from gateway.native.latency import LatencyWindow
from gateway.native.predict import Predictor
from gateway.oip.inference import Inference
from gateway.preprocessing import PreprocessingClient
from gateway.recorder import MonitoringRecorder
from gateway.settings import Settings
from gateway.shadow import SHADOW_HEADER
from gateway.shadow.mirror import MirroredInference, Shadow
from gateway.shadow.reports import ComparisonReports
from gateway.triton import InferenceServer, Triton
from gateway.triton_catalog import TritonCatalog
from gateway.upstream import Upstream

if TYPE_CHECKING:
    from gateway.callers.keys import KeyRing

_MESSAGE_OVERHEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything that the APIs call."""

    triton: Triton
    upstreams: tuple[Upstream, ...]
    catalog: ModelCatalog
    inference: Inference
    recorder: MonitoringRecorder
    shadow: Shadow | None
    predictor: Predictor
    feedback: FeedbackDesk
    latencies: LatencyWindow
    keys: "KeyRing | None"
    door: Door
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
    upstreams = [inference, imaging]
    answering: InferenceServer = triton
    shadow = None
    if settings.shadow_address:
        beside = Upstream(
            "shadow",
            settings.shadow_address,
            max_message_bytes=message_bytes,
            metrics=calls,
            metadata=((SHADOW_HEADER, "1"),),
        )
        upstreams.append(beside)
        shadow = _shadow(settings, catalog, Triton(beside))
        answering = MirroredInference(triton, shadow.offer)
    gate = AdmissionGate(settings.max_in_flight, settings.max_queued)
    metrics = RequestMetrics()
    metrics.in_flight.set_function(lambda: gate.in_flight)
    latencies = LatencyWindow()
    predictor = Predictor(
        catalog,
        PreprocessingClient(imaging),
        answering,
        recorder,
        max_batch=settings.max_batch_images,
        latencies=latencies,
        revision=settings.answering_revision,
    )
    keys = _issuer_keys(settings)
    return Collaborators(
        triton=triton,
        upstreams=tuple(upstreams),
        catalog=catalog,
        inference=Inference(catalog, answering),
        recorder=recorder,
        shadow=shadow,
        predictor=predictor,
        feedback=FeedbackDesk(catalog, recorder),
        latencies=latencies,
        keys=keys,
        door=build_door(settings, keys, CallerMetrics()),
        gate=gate,
        metrics=metrics,
    )


def _shadow(settings: Settings, catalog: ModelCatalog, server: InferenceServer) -> Shadow:
    metrics = ShadowMetrics()
    return Shadow(
        server,
        catalogs=(catalog, TritonCatalog(server, ttl=settings.catalog_ttl)),
        reports=ComparisonReports(settings.monitoring_address, metrics=metrics),
        metrics=metrics,
        share=settings.shadow_share,
        capacity=settings.shadow_buffer,
        seconds=settings.shadow_timeout,
        tolerance=settings.shadow_tolerance,
    )


def build_door(settings: Settings, keys: "KeyRing | None", metrics: CallerMetrics) -> Door:
    """Return the door that the settings describe; whatever they leave out is not asked for."""
    tokens = None
    if keys is not None:
        from gateway.callers.tokens import Tokens  # noqa: PLC0415 - see _issuer_keys

        tokens = Tokens(keys, issuer=settings.issuer, audience=settings.audience)
    quota = Quota(settings.quota_per_second, settings.quota_burst) if settings.quota_per_second else None
    experiment = None
    if settings.experiment:
        arms = parse_arms(settings.experiment_arms)
        experiment = Experiment(settings.experiment, arms, chosen_by_callers=settings.experiment_override)
    return Door(metrics, tokens=tokens, quota=quota, experiment=experiment, caller_header=settings.caller_header)


def _issuer_keys(settings: Settings) -> "KeyRing | None":
    if not settings.issuer:
        return None
    # A tenth of the resident memory would be cryptography: only those who check tokens pay for it.
    from gateway.callers.keys import KeyRing  # noqa: PLC0415

    return KeyRing(settings.jwks, IssuerMetrics())
