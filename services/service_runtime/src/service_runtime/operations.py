"""The operations port: liveness, readiness, metrics, build and settings. Never routed from outside."""

from collections.abc import Callable, Mapping

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service_runtime.readiness import Readiness
from service_runtime.routed_app import RoutedApp
from service_runtime.settings import ServiceSettings

BuildInfo = Callable[[], Mapping[str, object]]


def create_operations_app(
    settings: ServiceSettings,
    readiness: Readiness,
    *,
    build_info: BuildInfo,
    registry: CollectorRegistry = REGISTRY,
) -> RoutedApp:
    """Return the app behind the operations port."""

    async def livez(_request: Request) -> Response:
        return _json({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        failures = await readiness.failures()
        if failures:
            return _json({"status": "not ready", "failures": failures}, status=503)
        return _json({"status": "ready"})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def buildz(_request: Request) -> Response:
        return _json({"git_commit": settings.git_commit, **build_info()})

    async def configz(_request: Request) -> Response:
        return _json(settings.model_dump(mode="json"))  # SecretStr dumps as asterisks

    endpoints = (livez, readyz, metrics, buildz, configz)
    paths = [f"/{endpoint.__name__}" for endpoint in endpoints]
    routes = [Route(path, endpoint) for path, endpoint in zip(paths, endpoints, strict=True)]
    return RoutedApp(routes, hint=f"Here are {', '.join(paths)}.")


def _json(content: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_INDENT_2), status, media_type="application/json")
