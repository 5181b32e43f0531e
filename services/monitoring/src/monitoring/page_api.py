"""The page, the JSON that it draws, and judgements, over HTTP. It only reads."""

import hashlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson
from service_runtime.deadlines import Deadline
from service_runtime.errors import InvalidInput, Violation
from service_runtime.routed_app import RoutedApp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitoring.judgement_api import judgement_routes
from monitoring.overview import Choice, overview, predictions, window_named
from monitoring.paging import cursor_of, token_of
from monitoring.reader import Reader
from monitoring.rows import MICROSECONDS
from monitoring.side_by_side import side_by_side

Status = Callable[[], Awaitable[dict[str, object]]]

_CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = (
    (b"content-security-policy", _CONTENT_SECURITY_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_ASSETS = {
    "index.html": "text/html",
    "style.css": "text/css",
    "charts.js": "text/javascript",
    "page.js": "text/javascript",
    "sides.js": "text/javascript",
    "text.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_MAX_PAGE = 100
_DEFAULT_PAGE = 24
_LONGEST_SIZE = 9
_DEFAULT_WINDOW = "1h"


def create_page_app(reader: Reader, *, timeout: float, storage: Status) -> ASGIApp:
    """Return the app behind the page's port; `storage` says how the database fares."""

    async def get_overview(request: Request) -> Response:
        choice = _choice_of(request)
        body = await reader.run(lambda connection: overview(connection, choice), Deadline.after(timeout))
        return _json({**body, "storage": await storage()})

    async def get_predictions(request: Request) -> Response:
        choice, size = _choice_of(request), _size_of(request)
        start = cursor_of(request.query_params.get("page_token", ""))
        mistakes_only = request.query_params.get("mistakes") == "true"
        items, following = await reader.run(
            lambda connection: predictions(connection, choice, mistakes_only=mistakes_only, size=size, start=start),
            Deadline.after(timeout),
        )
        return _json({"predictions": items, "next_page_token": token_of(following)})

    async def get_side_by_side(request: Request) -> Response:
        choice = _choice_of(request)
        body = await reader.run(lambda connection: side_by_side(connection, choice), Deadline.after(timeout))
        return _json(body)

    assets = {name: _load(name, media_type) for name, media_type in _ASSETS.items()}

    async def get_asset(request: Request) -> Response:
        return assets[request.url.path.removeprefix("/assets/").lstrip("/") or "index.html"].answer(request)

    routes = [
        Route("/", get_asset),
        *(Route(f"/assets/{name}", get_asset) for name in assets if name != "index.html"),
        Route("/api/overview", get_overview),
        Route("/api/predictions", get_predictions),
        Route("/api/side-by-side", get_side_by_side),
        *judgement_routes(reader, timeout=timeout),
    ]
    return _SecurityHeaders(RoutedApp(routes, hint="The page is at /."))


@dataclass(frozen=True, slots=True)
class _Asset:
    """A file of the page, kept in memory; a browser asks again and is told that nothing changed."""

    content: bytes
    media_type: str
    etag: str

    def answer(self, request: Request) -> Response:
        headers = {"etag": self.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


class _SecurityHeaders:
    """Sends the security headers with every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _add_headers(message: MutableMapping[str, Any]) -> None:
    message["headers"] = [*message.get("headers", ()), *_SECURITY_HEADERS]


def _load(name: str, media_type: str) -> _Asset:
    content = files("monitoring").joinpath("static", name).read_bytes()
    return _Asset(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _choice_of(request: Request) -> Choice:
    asked = request.query_params
    return Choice(
        window_named(asked.get("window", _DEFAULT_WINDOW)),
        now=int(time.time() * MICROSECONDS) + 1,
        model=asked.get("model", ""),
        digest=asked.get("digest", ""),
        revision=asked.get("revision", ""),
        arm=asked.get("arm", ""),
    )


def _size_of(request: Request) -> int:
    asked = request.query_params.get("page_size", str(_DEFAULT_PAGE))
    if not (asked.isascii() and asked.isdigit() and len(asked) <= _LONGEST_SIZE and 1 <= int(asked) <= _MAX_PAGE):
        raise InvalidInput(
            f"page_size must be 1 to {_MAX_PAGE}.", violations=(Violation("page_size", f"not '{asked[:20]}'"),)
        )
    return int(asked)


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), headers={"cache-control": "no-store"}, media_type="application/json")
