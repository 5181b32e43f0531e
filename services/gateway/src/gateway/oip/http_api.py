"""The protocol over REST: plain routes, no models of bodies, tensors as bytes wherever the caller lets them be."""

from collections.abc import Sequence

import orjson
from google.protobuf.message import Message
from service_runtime.deadlines import Deadline
from service_runtime.errors import DependencyUnavailable, InvalidInput
from starlette.responses import Response
from starlette.routing import Route
from tritonclient.grpc import service_pb2 as oip

from gateway.http_edge import Handler, HttpEdge
from gateway.http_request import HttpRequest, read_body
from gateway.oip.background import convert
from gateway.oip.compression import compressed
from gateway.oip.http_answer import render
from gateway.oip.http_request import HEADER_LENGTH, parse
from gateway.oip.inference import Inference
from gateway.oip.json_messages import to_json
from gateway.oip.queries import Queries
from gateway.refusals import NotOffered, refuse

_JSON = "application/json"
_OCTETS = "application/octet-stream"
_INDEX_LIMIT = 4096
_NOT_OFFERED = (
    "/v2/repository/models/{model}/load",
    "/v2/repository/models/{model}/unload",
    "/v2/systemsharedmemory/{path:path}",
    "/v2/cudasharedmemory/{path:path}",
    "/v2/trace/setting",
    "/v2/models/{model}/trace/setting",
    "/v2/logging",
)


def oip_routes(
    *, edge: HttpEdge, inference: Inference, queries: Queries, body_limit: int, json_limit: int
) -> list[Route]:
    """Return the routes of the protocol, all below /v2."""
    infer = _InferRequests(inference, body_limit=body_limit, json_limit=json_limit)
    asked = _QueryRequests(queries)
    return [
        *_model_routes(edge, "/infer", infer.infer, methods=("POST",), admitted=True),
        _route(edge, "/v2", asked.server_metadata),
        _route(edge, "/v2/health/live", asked.server_live),
        _route(edge, "/v2/health/ready", asked.server_ready),
        _route(edge, "/v2/models/stats", asked.model_statistics),
        *_model_routes(edge, "", asked.model_metadata),
        *_model_routes(edge, "/ready", asked.model_ready),
        *_model_routes(edge, "/config", asked.model_config),
        *_model_routes(edge, "/stats", asked.model_statistics),
        _route(edge, "/v2/repository/index", asked.repository_index, methods=("POST",)),
        *(_route(edge, path, _not_offered, methods=("GET", "POST")) for path in _NOT_OFFERED),
    ]


class _InferRequests:
    def __init__(self, inference: Inference, *, body_limit: int, json_limit: int) -> None:
        self._inference = inference
        self._body_limit = body_limit
        self._json_limit = json_limit

    async def infer(self, request: HttpRequest, deadline: Deadline) -> Response:
        version = request.path_params.get("version", "")
        model = await self._inference.model(request.path_params["model"], version, deadline=deadline)
        body = read_body(request, limit=self._body_limit, deadline=deadline)
        header_length = request.headers.get(HEADER_LENGTH)
        asked = await convert(
            len(body), parse, model, version, body, header_length=header_length, json_limit=self._json_limit
        )
        serialized = await self._inference.infer(model, asked.request, asked.tensors, deadline=deadline)
        answer = await convert(len(serialized), render, asked, serialized)
        headers = {} if answer.header_length is None else {HEADER_LENGTH: str(answer.header_length)}
        media_type = _JSON if answer.header_length is None else _OCTETS
        response = Response(answer.body, headers=headers, media_type=media_type)
        return await convert(len(answer.body), compressed, request, response)


class _QueryRequests:
    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def server_metadata(self, _request: HttpRequest, deadline: Deadline) -> Response:
        return _answer(await self._queries.server_metadata(oip.ServerMetadataRequest(), deadline))

    async def server_live(self, _request: HttpRequest, deadline: Deadline) -> Response:
        return _answer(await self._queries.server_live(oip.ServerLiveRequest(), deadline))

    async def server_ready(self, _request: HttpRequest, deadline: Deadline) -> Response:
        return _ready(await self._queries.server_ready(oip.ServerReadyRequest(), deadline))

    async def model_ready(self, request: HttpRequest, deadline: Deadline) -> Response:
        name, version = _named(request)
        return _ready(await self._queries.model_ready(oip.ModelReadyRequest(name=name, version=version), deadline))

    async def model_metadata(self, request: HttpRequest, deadline: Deadline) -> Response:
        name, version = _named(request)
        asked = oip.ModelMetadataRequest(name=name, version=version)
        return _answer(await self._queries.model_metadata(asked, deadline))

    async def model_config(self, request: HttpRequest, deadline: Deadline) -> Response:
        name, version = _named(request)
        answer = await self._queries.model_config(oip.ModelConfigRequest(name=name, version=version), deadline)
        return _answer(answer.config)

    async def model_statistics(self, request: HttpRequest, deadline: Deadline) -> Response:
        name, version = _named(request)
        asked = oip.ModelStatisticsRequest(name=name, version=version)
        return _answer(await self._queries.model_statistics(asked, deadline))

    async def repository_index(self, request: HttpRequest, deadline: Deadline) -> Response:
        body = read_body(request, limit=_INDEX_LIMIT, deadline=deadline)
        answer = await self._queries.repository_index(oip.RepositoryIndexRequest(ready=_only_ready(body)), deadline)
        return Response(orjson.dumps([to_json(model) for model in answer.models]), media_type=_JSON)


async def _not_offered(request: HttpRequest, _deadline: Deadline) -> Response:
    raise NotOffered(f"{request.path} is not offered: models, memory and settings are not the callers' to change.")


def _route(
    edge: HttpEdge, path: str, handler: Handler, *, methods: Sequence[str] = ("GET",), admitted: bool = False
) -> Route:
    return Route(path, edge.endpoint(handler, route=path, admitted=admitted), methods=methods)


def _model_routes(
    edge: HttpEdge, suffix: str, handler: Handler, *, methods: Sequence[str] = ("GET",), admitted: bool = False
) -> list[Route]:
    paths = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    return [_route(edge, path + suffix, handler, methods=methods, admitted=admitted) for path in paths]


def _named(request: HttpRequest) -> tuple[str, str]:
    return request.path_params.get("model", ""), request.path_params.get("version", "")


def _answer(message: Message) -> Response:
    return Response(orjson.dumps(to_json(message)), media_type=_JSON)


def _ready(answer: oip.ServerReadyResponse | oip.ModelReadyResponse) -> Response:
    if not answer.ready:
        raise DependencyUnavailable("Not ready. Ask again later.")
    return _answer(answer)


def _only_ready(body: bytes) -> bool:
    """Read the body of /v2/repository/index, which may be empty."""
    try:
        asked = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidInput("The body is not JSON.") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("ready", False), bool):
        raise refuse("ready", "it must be true or false")
    return bool(asked.get("ready", False))
