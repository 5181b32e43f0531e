"""Refusals of unread requests: in a flood most are refused, and what that costs is taken from those accepted."""

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus

from grpc import StatusCode
from service_runtime.admission import AdmissionGate
from service_runtime.errors import Overloaded, QuotaExceeded
from service_runtime.problems import PROBLEM_JSON, problem_body, retry_after
from service_runtime.tracing import Span

from gateway.callers.door import Door

Headers = Sequence[tuple[bytes, bytes]]
Observe = Callable[[str, StatusCode, float], None]

REVISION_HEADER = "x-fairlead-revision"

_PARAMETER = re.compile(r"\\\{\w+\\\}")


class Shedder:
    """Answers for the gate and for quotas before a request is read, as they would after it.

    An optimisation alone: a request that comes past it meets both themselves. No span is recorded for what it refuses,
    and who is refused here for want of room has not been asked for a token.
    """

    def __init__(self, gate: AdmissionGate, door: Door, observe: Observe, *, revision: str) -> None:
        self._gate = gate
        self._door = door
        self._observe = observe
        self._revision = revision
        self._routes: list[tuple[re.Pattern[bytes], str]] = []

    def add(self, route: str) -> None:
        """Shed the POST requests of a route, as in /v2/models/{model}/infer."""
        pattern = _PARAMETER.sub("[^/:]+", re.escape(route))
        self._routes.append((re.compile(pattern.encode()), route))

    def __call__(self, method: bytes, target: bytes, headers: Headers, address: str) -> bytes | None:
        """Return the whole answer to a request that there is no room or no quota for, else None."""
        full = self._gate.refusal()
        if method != b"POST" or (full is None and not self._door.turns_away):
            return None
        path = target.partition(b"?")[0]
        route = next((route for pattern, route in self._routes if pattern.fullmatch(path)), None)
        if route is None:
            return None
        # Of a header that is there twice the first one counts.
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(headers)}
        refusal = full or self._door.refusal(route, named, address)
        if refusal is None:
            return None
        self._observe(route, refusal.code, 0.0)
        return self._answer(refusal, path, named)

    def _answer(self, refusal: Overloaded | QuotaExceeded, path: bytes, headers: dict[str, str]) -> bytes:
        trace_id = Span.start(headers.get("traceparent")).trace_id
        body = problem_body(refusal, instance=path.decode("latin-1"), trace_id=trace_id)
        lines = [
            f"HTTP/1.1 {refusal.http_status} {HTTPStatus(refusal.http_status).phrase}",
            f"content-type: {PROBLEM_JSON}",
            f"content-length: {len(body)}",
            f"retry-after: {retry_after(refusal.retry_after or 1)}",
            f"x-trace-id: {trace_id}",
            f"{REVISION_HEADER}: {self._revision}",
        ]
        if "x-request-id" in headers:
            lines.append(f"x-request-id: {headers['x-request-id']}")
        return "\r\n".join((*lines, "", "")).encode("latin-1") + body
