"""What every gRPC handler of the gateway shares."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.grpc_errors import Context
from service_runtime.grpc_server import call_deadline

from gateway.metrics import RequestMetrics
from gateway.settings import Settings


class GrpcEdge:
    """Deadline and admission of gRPC calls. Spans, errors and metrics are the interceptor's."""

    def __init__(self, settings: Settings, gate: AdmissionGate, metrics: RequestMetrics) -> None:
        self._metrics = metrics
        self._settings = settings
        self._gate = gate

    def deadline(self, context: Context) -> Deadline:
        """Return the deadline of a call that needs no admission."""
        return call_deadline(context, default=self._settings.default_timeout, cap=self._settings.max_timeout)

    @asynccontextmanager
    async def admitted(self, context: Context) -> AsyncIterator[Deadline]:
        """Hold a place among the requests in flight; yields the deadline."""
        deadline = self.deadline(context)
        async with self._gate.admit(deadline):
            self._metrics.in_flight.inc()
            try:
                yield deadline
            finally:
                self._metrics.in_flight.dec()
