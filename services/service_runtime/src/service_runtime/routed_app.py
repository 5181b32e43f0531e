"""Starlette's routes without its middleware, which costs a request more than a whole handler may."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Router
from starlette.types import Receive, Scope, Send

from service_runtime.errors import InvalidInput, NotFound
from service_runtime.problems import problem_of, problem_response


class RoutedApp:
    """An ASGI app: what a route raises, and what no route takes, is answered as a problem.

    `hint` says where the paths are described.
    """

    def __init__(self, routes: Sequence[BaseRoute], *, hint: str) -> None:
        self._router = Router(routes)
        self._hint = hint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["app"] = self  # with this in it the router raises what it would answer in plain text otherwise
        try:
            await self._router(scope, receive, send)
        except HTTPException as refusal:
            await self._not_routed(refusal, scope)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - problem_of is where every exception is judged
            await problem_of(error, instance=scope["path"])(scope, receive, send)

    def _not_routed(self, refusal: HTTPException, scope: Scope) -> Response:
        if refusal.status_code == HTTPStatus.NOT_FOUND:
            return problem_response(NotFound(f"No such path. {self._hint}"), instance=scope["path"])
        phrase = HTTPStatus(refusal.status_code).phrase
        error = InvalidInput(f"{phrase}: {scope['method']} is not for this path.")
        error.http_override = refusal.status_code
        response = problem_response(error, instance=scope["path"])
        response.headers.update(refusal.headers or {})
        return response
