"""RFC 9457 problem details: every HTTP error body, with the fields OIP clients read."""

import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service_runtime.errors import INTERNAL_MESSAGE, InvalidInput, NotFound, ServiceError
from service_runtime.tracing import current_span

log = structlog.get_logger()

Handler = Callable[[Request, Exception], Awaitable[Response]]


def problem_handlers(*, hint: str) -> dict[type[Exception], Handler]:
    """Return the exception handlers of a Starlette app; `hint` says where its paths are described."""

    async def handle_http_error(request: Request, error: Exception) -> Response:
        """Answer what no route took."""
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
        if status == HTTPStatus.NOT_FOUND:
            return problem_response(NotFound(f"No such path. {hint}"), instance=request.url.path)
        refusal = InvalidInput(f"{HTTPStatus(status).phrase}: {request.method} is not for this path.")
        refusal.http_override = status
        response = problem_response(refusal, instance=request.url.path)
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    return {HTTPException: handle_http_error, ServiceError: handle_error, Exception: handle_error}


def problem_response(error: ServiceError, *, instance: str) -> Response:
    """Return the HTTP answer for an error that may be shown."""
    span = current_span()
    body: dict[str, object] = {
        "type": "about:blank",
        "title": error.code.name.replace("_", " ").capitalize(),
        "status": error.http_status,
        "detail": error.message,
        "instance": instance,
        "error": error.message,  # what Open Inference Protocol clients read
        "code": error.code.name,
        "trace_id": span.trace_id if span else "",
        "retryable": error.retryable,
        "violations": [{"field": v.field, "description": v.description} for v in error.violations],
    }
    headers = {} if error.retry_after is None else {"retry-after": str(max(1, math.ceil(error.retry_after)))}
    return Response(orjson.dumps(body), error.http_status, headers, "application/problem+json")


def problem_of(error: Exception, *, instance: str) -> Response:
    """Return the HTTP answer for any error; what may not be shown goes to the log."""
    if isinstance(error, ServiceError):
        return problem_response(error, instance=instance)
    log.error("http.request_failed", path=instance, exc_info=error)
    return problem_response(ServiceError(INTERNAL_MESSAGE), instance=instance)


async def handle_error(request: Request, error: Exception) -> Response:
    """Map any exception to a problem."""
    return problem_of(error, instance=request.url.path)
