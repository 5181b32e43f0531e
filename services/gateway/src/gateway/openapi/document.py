"""The whole description, and its route."""

from importlib.metadata import version

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.openapi import callers, native, oip
from gateway.openapi.operations import Document

_DESCRIPTION = """Models in production, by image or by tensor, over REST and gRPC.

Errors are problem details (RFC 9457) with a gRPC status code, a trace id and whether a retry may help. \
A deadline goes in X-Request-Timeout-Ms, a W3C traceparent is continued, and X-Request-Id comes back. \
X-Fairlead-Revision names the gateway that answered, X-Experiment-Arm the caller's arm while an experiment runs."""


def openapi_document() -> Document:
    """Return the OpenAPI 3.1 document of the REST API."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fairlead", "version": version("gateway"), "description": _DESCRIPTION},
        "tags": [native.tag(), oip.tag()],
        "paths": callers.guarded({**native.paths(), **oip.paths()}),
        "components": {
            "schemas": {**native.components(), **oip.components()},
            "securitySchemes": callers.security_schemes(),
        },
    }


def openapi_routes() -> list[Route]:
    """Return the route of the description, made once."""
    content = orjson.dumps(openapi_document())

    async def openapi_json(_request: Request) -> Response:
        return Response(content, headers={"cache-control": "no-cache"}, media_type="application/json")

    return [Route("/openapi.json", openapi_json)]
