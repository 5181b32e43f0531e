"""Trace context on every hop; OpenTelemetry spans when there is somewhere to send them.

W3C Trace Context, https://www.w3.org/TR/trace-context/. Without an OTLP endpoint a request costs a few
string operations here: no spans are built, but trace ids still run through logs, answers and outgoing calls.
"""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

_TRACEPARENT_LENGTH = 55
_HEX = frozenset("0123456789abcdef")
_current: ContextVar["Span | None"] = ContextVar("fairlead_span", default=None)
_tracer: trace.Tracer | None = None
_ids = random.Random()  # noqa: S311 - ids are unique, not secret


@dataclass(frozen=True, slots=True)
class Span:
    """The ids of the span that the current task works in."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @classmethod
    def start(cls, traceparent: str | None) -> Self:
        """Return a child of `traceparent`, or the root of a new trace when it is absent or malformed."""
        parent = _parse(traceparent)
        fresh = _ids.randbytes(24).hex()
        if parent is None:
            return cls(fresh[:32], fresh[32:])
        return cls(parent.trace_id, fresh[32:], parent.sampled)

    def traceparent(self) -> str:
        """Return the header that makes a callee's span a child of this one."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def current_span() -> Span | None:
    """Return the span of the request that this task works for."""
    return _current.get()


def configure_tracing(service: str, *, endpoint: str, version: str) -> None:
    """Export spans to an OTLP gRPC endpoint; an empty endpoint leaves tracing to the ids alone."""
    global _tracer  # noqa: PLW0603 - one tracer per process, set once at start
    if not endpoint:
        _tracer = None
        return
    # Half of a service's resident memory would be these modules: only those who trace pay for them.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.version": version}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=endpoint[:8] != "https://"))
    )
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("fairlead")


def flush_tracing() -> None:
    """Send what is still buffered; the last thing a process does."""
    provider = trace.get_tracer_provider()
    shutdown = getattr(provider, "shutdown", None)
    if _tracer is not None and shutdown is not None:
        shutdown()


def server_span(name: str, traceparent: str | None) -> AbstractContextManager[Span]:
    """Work in a span that continues the caller's trace."""
    if _tracer is None:
        return _Within(Span.start(traceparent))
    return _recorded(_tracer, name, SpanKind.SERVER, _parse(traceparent))


def client_span(name: str) -> AbstractContextManager[Span]:
    """Call another service in a span of its own; yields the span whose traceparent goes out."""
    parent = _current.get()
    if _tracer is None:
        return nullcontext(parent or Span.start(None))
    return _recorded(_tracer, name, SpanKind.CLIENT, parent)


class _Within:
    """Makes a span the current one. A class, because every request passes here and a generator costs it more."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._token = _current.set(self._span)
        return self._span

    def __exit__(self, *_exc: object) -> None:
        _current.reset(self._token)


@contextmanager
def _recorded(tracer: trace.Tracer, name: str, kind: SpanKind, parent: Span | None) -> Iterator[Span]:
    context = trace.set_span_in_context(NonRecordingSpan(_span_context(parent))) if parent else None
    with tracer.start_as_current_span(name, context=context, kind=kind) as recorded:
        ids = recorded.get_span_context()
        with _Within(Span(f"{ids.trace_id:032x}", f"{ids.span_id:016x}", ids.trace_flags.sampled)) as span:
            yield span


def _span_context(span: Span) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=True, trace_flags=flags)


def _parse(traceparent: str | None) -> Span | None:
    """Read a traceparent; None when it is absent or not valid."""
    if traceparent is None or len(traceparent) < _TRACEPARENT_LENGTH:
        return None
    version, trace_id, span_id, flags = traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:55]
    well_formed = (
        traceparent[2] == traceparent[35] == traceparent[52] == "-"
        and _HEX.issuperset(version + trace_id + span_id + flags)
        and version != "ff"
        and (version != "00" or len(traceparent) == _TRACEPARENT_LENGTH)
        and trace_id.strip("0")
        and span_id.strip("0")
    )
    return Span(trace_id, span_id, bool(int(flags, 16) & 1)) if well_formed else None
