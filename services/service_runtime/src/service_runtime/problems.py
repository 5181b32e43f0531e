"""RFC 9457 problem details: every HTTP error body, with the fields OIP clients read."""

import math

import orjson
import structlog
from starlette.responses import Response

from service_runtime.errors import INTERNAL_MESSAGE, ServiceError
from service_runtime.tracing import current_span

log = structlog.get_logger()

PROBLEM_JSON = "application/problem+json"


def problem_of(error: Exception, *, instance: str) -> Response:
    """Return the HTTP answer for any error; what may not be shown goes to the log."""
    if isinstance(error, ServiceError):
        return problem_response(error, instance=instance)
    log.error("http.request_failed", path=instance, exc_info=error)
    return problem_response(ServiceError(INTERNAL_MESSAGE), instance=instance)


def problem_response(error: ServiceError, *, instance: str) -> Response:
    """Return the HTTP answer for an error that may be shown."""
    span = current_span()
    body = problem_body(error, instance=instance, trace_id=span.trace_id if span else "")
    headers = {} if error.retry_after is None else {"retry-after": retry_after(error.retry_after)}
    if error.challenge is not None:
        headers["www-authenticate"] = error.challenge
    return Response(body, error.http_status, headers, PROBLEM_JSON)


def problem_body(error: ServiceError, *, instance: str, trace_id: str) -> bytes:
    """Return the JSON that says what went wrong."""
    return orjson.dumps(
        {
            "type": "about:blank",
            "title": error.code.name.replace("_", " ").capitalize(),
            "status": error.http_status,
            "detail": error.message,
            "instance": instance,
            "error": error.message,  # what Open Inference Protocol clients read
            "code": error.code.name,
            "trace_id": trace_id,
            "retryable": error.retryable,
            "violations": [{"field": v.field, "description": v.description} for v in error.violations],
        }
    )


def retry_after(seconds: float) -> str:
    """Return the value of the header Retry-After, which knows whole seconds."""
    return str(max(1, math.ceil(seconds)))
