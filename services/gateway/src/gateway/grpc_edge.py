"""What every gRPC handler of the gateway shares."""

from contextlib import AbstractAsyncContextManager

import structlog
from grpc import StatusCode
from service_runtime.admission import AdmissionGate
from service_runtime.deadlines import Deadline
from service_runtime.grpc_errors import Context
from service_runtime.grpc_server import call_deadline
from service_runtime.grpc_transport.call import Call

from gateway.callers.caller import current_caller
from gateway.callers.door import ARM_HEADER, Door
from gateway.metrics import RequestMetrics
from gateway.settings import Settings
from gateway.shedding import REVISION_HEADER

log = structlog.get_logger()

_PROBES = "/grpc."  # health and reflection


class GrpcEdge:
    """Caller, deadline, admission and metrics of gRPC calls. Spans and errors are the server's."""

    def __init__(self, settings: Settings, door: Door, gate: AdmissionGate, metrics: RequestMetrics) -> None:
        self._metrics = metrics
        self._settings = settings
        self._door = door
        self._gate = gate
        self._revision = (REVISION_HEADER, settings.answering_revision)

    async def enter(self, method: str, call: Call) -> None:
        """Let a call in, or refuse it; its answer names the revision, and the arm if there is one."""
        call.set_initial_metadata((self._revision,))
        headers = dict(reversed(call.invocation_metadata()))  # as over HTTP, of two the first one counts
        caller = await self._door.enter(method, headers, call.peer_host)
        if caller.arm is not None:
            call.set_initial_metadata((self._revision, (ARM_HEADER, caller.arm.name)))

    def observe(self, method: str, code: StatusCode, seconds: float) -> None:
        """Count a call that has ended, and log it if every request is to be logged."""
        self._metrics.observe(method, code, seconds)
        if self._settings.access_log and not method.startswith(_PROBES):
            log.info("request.completed", route=method, code=code.name, seconds=round(seconds, 6))

    def deadline(self, context: Context) -> Deadline:
        """Return the deadline of a call that needs no admission."""
        return call_deadline(context, default=self._settings.default_timeout, cap=self._settings.max_timeout)

    def admitted(self, context: Context) -> AbstractAsyncContextManager[Deadline]:
        """Charge the caller and hold a place among the requests in flight; yields the deadline.

        Of a stream every message is charged.
        """
        self._door.charge(current_caller())
        return self._gate.admit(self.deadline(context))
