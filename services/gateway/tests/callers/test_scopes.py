"""Every operation asks for the scope that the table names, over REST and gRPC, and for nothing else."""

import re
from typing import Any

import pytest
from fairlead.gateway.v1 import gateway_pb2
from gateway.callers.scopes import NEEDED, OPEN, Scope, needed_scope
from gateway.openapi.document import openapi_document
from gateway_kit.calls import Call
from gateway_kit.issuer import Authorized
from gateway_kit.whole import Gateway, OpenGateway
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from starlette.routing import Route
from tritonclient.grpc import service_pb2 as oip

PAGES = {"/", "/docs", "/openapi.json", "/assets/{bundle}/{name}"}
REFUSALS = {"UNAUTHENTICATED", "PERMISSION_DENIED"}


def routes(gateway: Gateway) -> dict[str, Route]:
    """Return the routes of the REST API by what they are called in the table."""
    all_routes = (route for route in gateway.app._router.routes if isinstance(route, Route))
    found = {re.sub(r":name}", "}", route.path): route for route in all_routes}
    return {path: route for path, route in found.items() if path not in PAGES}


async def answer(gateway: Gateway, operation: str, headers: dict[str, str]) -> Any:
    route = routes(gateway).get(operation)
    if route is None:
        return await gateway.rpc(operation, headers, seconds=0.5)  # who watches health is not answered to the end
    path = re.sub(r"{version}", "1", re.sub(r"{(?!version)[^}]+}", "digits", operation))
    method = "POST" if route.methods and "POST" in route.methods else "GET"
    return await gateway.rest(method, path, headers)


@pytest.mark.requirement("CALLERS-003")
async def test_the_table_names_every_operation_and_no_other(open_gateway: OpenGateway) -> None:
    descriptors = [
        descriptor.services_by_name[name]
        for descriptor, name in (
            (gateway_pb2.DESCRIPTOR, "PredictionService"),
            (oip.DESCRIPTOR, "GRPCInferenceService"),
            (health_pb2.DESCRIPTOR, "Health"),
            (reflection_pb2.DESCRIPTOR, "ServerReflection"),
        )
    ]
    methods = {f"/{service.full_name}/{method.name}" for service in descriptors for method in service.methods}
    async with open_gateway() as gateway:
        assert set(NEEDED) == set(routes(gateway)) | methods


@pytest.mark.requirement("CALLERS-003")
@pytest.mark.parametrize(
    ("scope", "rest", "rpc"),
    [
        (Scope.PREDICT, "/v1/models/{model}:predict", "/fairlead.gateway.v1.PredictionService/Predict"),
        (Scope.PREDICT, "/v1/models/{model}:batchPredict", "/fairlead.gateway.v1.PredictionService/BatchPredict"),
        (Scope.PREDICT, "/v1/models", "/fairlead.gateway.v1.PredictionService/ListModels"),
        (Scope.PREDICT, "/v1/models/{model}", "/fairlead.gateway.v1.PredictionService/GetModel"),
        (
            Scope.FEEDBACK,
            "/v1/predictions/{prediction_id}:feedback",
            "/fairlead.gateway.v1.PredictionService/SendFeedback",
        ),
        (Scope.PREDICT, "/v2/models/{model}/infer", "/inference.GRPCInferenceService/ModelInfer"),
        (
            Scope.PREDICT,
            "/v2/models/{model}/versions/{version}/infer",
            "/inference.GRPCInferenceService/ModelStreamInfer",
        ),
        (Scope.PREDICT, "/v2/models/{model}", "/inference.GRPCInferenceService/ModelMetadata"),
        (Scope.PREDICT, "/v2/models/{model}/ready", "/inference.GRPCInferenceService/ModelReady"),
        (Scope.PREDICT, "/v2/models/{model}/config", "/inference.GRPCInferenceService/ModelConfig"),
        (Scope.ADMIN, "/v2/models/{model}/stats", "/inference.GRPCInferenceService/ModelStatistics"),
        (Scope.ADMIN, "/v2/repository/index", "/inference.GRPCInferenceService/RepositoryIndex"),
        (Scope.ADMIN, "/v2/repository/models/{model}/load", "/inference.GRPCInferenceService/RepositoryModelLoad"),
        (OPEN, "/v2", "/inference.GRPCInferenceService/ServerMetadata"),
        (OPEN, "/v2/health/live", "/inference.GRPCInferenceService/ServerLive"),
        (OPEN, "/v2/health/ready", "/grpc.health.v1.Health/Check"),
    ],
)
def test_an_operation_needs_the_same_over_rest_and_grpc(scope: Scope | None, rest: str, rpc: str) -> None:
    assert (NEEDED[rest], NEEDED[rpc]) == (scope, scope)


@pytest.mark.requirement("CALLERS-003")
async def test_each_operation_is_refused_without_its_scope_and_let_in_with_it(
    guarded: Gateway, authorized: Authorized
) -> None:
    for operation, scope in NEEDED.items():
        others = authorized(*(other for other in Scope if other is not scope))
        nobody = (await answer(guarded, operation, {})).code
        lacking = (await answer(guarded, operation, others)).code
        if scope is OPEN:
            assert not {nobody, lacking} & REFUSALS, operation
            continue
        assert (nobody, lacking) == ("UNAUTHENTICATED", "PERMISSION_DENIED"), operation
        assert (await answer(guarded, operation, authorized(scope))).code not in REFUSALS, operation


@pytest.mark.requirement("CALLERS-001")
async def test_without_an_issuer_nothing_is_asked_of_anybody(open_gateway: OpenGateway) -> None:
    async with open_gateway() as gateway:
        for operation in NEEDED:
            assert (await answer(gateway, operation, {})).code not in REFUSALS, operation
            assert (await answer(gateway, operation, {"authorization": "Bearer x"})).code not in REFUSALS, operation


@pytest.mark.requirement("CALLERS-003")
async def test_a_route_that_the_table_forgot_is_for_administrators() -> None:

    assert needed_scope("/v3/new") is Scope.ADMIN


@pytest.mark.requirement("CALLERS-004")
async def test_a_missing_scope_is_named_alike_over_both(guarded: Gateway, authorized: Authorized, call: Call) -> None:
    refused = await call(guarded, authorized("feedback", "admin"))
    assert refused.code == "PERMISSION_DENIED"
    challenge = 'Bearer realm="fairlead", error="insufficient_scope", scope="predict"'
    assert refused.headers["www-authenticate"] == challenge
    assert guarded.turned_away("scope") == 1


@pytest.mark.requirement("CALLERS-003")
def test_the_description_asks_for_the_scopes_of_the_table() -> None:

    document: Any = openapi_document()
    for path, item in document["paths"].items():
        for operation in (item[method] for method in item if method != "parameters"):
            asked = operation.get("security", [{"token": [OPEN]}])[0]["token"]
            assert asked == [NEEDED[path]], path
            assert ("401" in operation["responses"]) == ("403" in operation["responses"]) == (NEEDED[path] is not OPEN)
