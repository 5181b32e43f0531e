"""Serves the pages from memory: names by content, so browsers may keep them for ever."""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources

from service_runtime.errors import NotFound
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_REVALIDATE = "no-cache"
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


def page_routes() -> list[Route]:
    """Return the routes of the drawing page, the API page and what they are made of."""
    pages = _Pages()
    return [
        Route("/", pages.page("index.html")),
        Route("/docs", pages.page("docs.html")),
        Route("/assets/{bundle}/{name}", pages.asset),
    ]


class _Pages:
    def __init__(self) -> None:
        sources = {path.name: path.read_bytes() for path in resources.files(__package__).joinpath("files").iterdir()}
        digest = hashlib.sha256()
        for name in sorted(sources):
            digest.update(name.encode() + b"\0" + sources[name] + b"\0")
        # Scripts import each other by relative name, so one digest names all of them.
        self._bundle = digest.hexdigest()[:16]
        self._files = {name: self._load(name, content) for name, content in sources.items()}

    def page(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        file = self._files[name]

        async def endpoint(request: Request) -> Response:
            return _answer(request, file, _REVALIDATE)

        return endpoint

    async def asset(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        if file is None or file.media_type == "text/html":
            raise NotFound("There is no such file.")
        # While a new version rolls out, its page may ask the old version for a file: true content, not to be kept.
        ours = request.path_params["bundle"] == self._bundle
        return _answer(request, file, _FOR_EVER if ours else "no-store")

    def _load(self, name: str, content: bytes) -> _File:
        media_type = mimetypes.types_map[name[name.rindex(".") :]]
        content = content.replace(b"@assets/", f"/assets/{self._bundle}/".encode())
        return _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _answer(request: Request, file: _File, cache_control: str) -> Response:
    headers = {**_SECURITY, "etag": file.etag, "cache-control": cache_control}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
