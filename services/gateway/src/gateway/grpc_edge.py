"""What every gRPC handler of the gateway shares."""

from contextlib import AbstractAsyncContextManager

import structlog
from grpc import StatusCode
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.grpc_errors import Context
from service_runtime.grpc_server import call_deadline

from gateway.metrics import RequestMetrics
from gateway.settings import Settings

log = structlog.get_logger()

_PROBES = "/grpc."  # health and reflection


class GrpcEdge:
    """Deadline, admission and metrics of gRPC calls. Spans and errors are the interceptor's."""

    def __init__(self, settings: Settings, gate: AdmissionGate, metrics: RequestMetrics) -> None:
        self._metrics = metrics
        self._settings = settings
        self._gate = gate

    def observe(self, method: str, code: StatusCode, seconds: float) -> None:
        """Count a call that has ended, and log it if every request is to be logged."""
        self._metrics.observe(method, code, seconds)
        if self._settings.access_log and not method.startswith(_PROBES):
            log.info("request.completed", route=method, code=code.name, seconds=round(seconds, 6))

    def deadline(self, context: Context) -> Deadline:
        """Return the deadline of a call that needs no admission."""
        return call_deadline(context, default=self._settings.default_timeout, cap=self._settings.max_timeout)

    def admitted(self, context: Context) -> AbstractAsyncContextManager[Deadline]:
        """Hold a place among the requests in flight; yields the deadline."""
        return self._gate.admit(self.deadline(context))
