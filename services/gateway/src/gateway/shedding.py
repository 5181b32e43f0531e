"""Refusals at the door: under overload most requests are refused, and what that costs is taken from those accepted."""

import re
from collections.abc import Callable, Sequence

from grpc import StatusCode
from service_runtime.admission import AdmissionGate
from service_runtime.errors import Overloaded
from service_runtime.problems import PROBLEM_JSON, problem_body, retry_after
from service_runtime.tracing import Span

Headers = Sequence[tuple[bytes, bytes]]
Observe = Callable[[str, StatusCode, float], None]

_PARAMETER = re.compile(r"\\\{\w+\\\}")


class Shedder:
    """Answers for the gate before a request is read, as the gate would after it.

    An optimisation alone: a request that comes past it meets the gate itself. No span is recorded for what it refuses.
    """

    def __init__(self, gate: AdmissionGate, observe: Observe) -> None:
        self._gate = gate
        self._observe = observe
        self._routes: list[tuple[re.Pattern[bytes], str]] = []

    def add(self, route: str) -> None:
        """Shed the POST requests of a route, as in /v2/models/{model}/infer."""
        pattern = _PARAMETER.sub("[^/:]+", re.escape(route))
        self._routes.append((re.compile(pattern.encode()), route))

    def __call__(self, method: bytes, target: bytes, headers: Headers) -> bytes | None:
        """Return the whole answer to a request that the gate has no room for, else None."""
        refusal = self._gate.refusal()
        if refusal is None or method != b"POST":
            return None
        path = target.partition(b"?")[0]
        for pattern, route in self._routes:
            if pattern.fullmatch(path):
                self._observe(route, refusal.code, 0.0)
                return _answer(
                    refusal, path, dict(reversed(headers))
                )  # of a header that is there twice the first one counts
        return None


def _answer(refusal: Overloaded, path: bytes, headers: dict[bytes, bytes]) -> bytes:
    traceparent = headers.get(b"traceparent")
    trace_id = Span.start(None if traceparent is None else traceparent.decode("latin-1")).trace_id
    body = problem_body(refusal, instance=path.decode("latin-1"), trace_id=trace_id)
    lines = [
        "HTTP/1.1 503 Service Unavailable",
        f"content-type: {PROBLEM_JSON}",
        f"content-length: {len(body)}",
        f"retry-after: {retry_after(refusal.retry_after or 1)}",
        f"x-trace-id: {trace_id}",
    ]
    request_id = headers.get(b"x-request-id")
    if request_id is not None:
        lines.append(f"x-request-id: {request_id.decode('latin-1')}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body
