"""The door asks what the gateway asks, operation by operation, and refuses in the same words."""

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from delivery.environments import Environment
from delivery.manifests import Manifest, dig, of_kind
from gateway.callers.scopes import NEEDED, Scope
from google.rpc import error_details_pb2, status_pb2

CLOSED = ("/livez", "/readyz", "/metrics", "/buildz", "/configz")
FILLED = {"{model}": "digits", "{version}": "1", "{prediction_id}": "0190", "{path:path}": "region/x/status"}
# A path with a name in it cannot be told from a model of that name; the gateway, which can, asks again.
UNDECIDED = {"/v2/models/stats"}


@pytest.fixture(scope="session")
def edge(environments: Mapping[str, Environment]) -> list[Manifest]:
    return list(environments["local"].apps["gateway"].objects)


def let_in(edge: Iterable[Manifest], path: str, scopes: Iterable[str]) -> bool:
    """Judge a request as Envoy would by the policy of the edge."""
    (policy,) = (each for each in of_kind(edge, "AuthorizationPolicy") if each.name == "edge")
    for rule in policy.at("spec", "rules"):
        asked = {value for when in rule.get("when", []) for value in when["values"]}
        operation = dig(rule, "to", 0, "operation", default={})
        paths = operation.get("paths", ["*"])
        if asked and not asked & set(scopes):
            continue
        if any(matches(each, path) for each in paths) and not any(
            matches(each, path) for each in operation.get("notPaths", [])
        ):
            return True
    return False


def matches(pattern: str, path: str) -> bool:
    if "{" in pattern:
        return re.fullmatch(re.escape(pattern).replace(r"\{\*\}", "[^/]+"), path) is not None
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), path) is not None


def real(operation: str) -> str:
    for parameter, value in FILLED.items():
        operation = operation.replace(parameter, value)
    return operation


@pytest.mark.requirement("EDGE-003")
@pytest.mark.parametrize("operation", NEEDED)
def test_the_edge_asks_for_the_scope_that_the_gateway_asks_for(edge: list[Manifest], operation: str) -> None:
    needed = NEEDED[operation]
    assert let_in(edge, real(operation), []) == (needed is None)
    for scope in set(Scope) - {Scope.ADMIN}:
        assert let_in(edge, real(operation), [scope]) == (needed in (None, scope)), scope
    assert let_in(edge, real(operation), [Scope.ADMIN])  # the gateway knows better what is not an administrator's


@pytest.mark.requirement("EDGE-003")
def test_what_no_table_names_is_for_administrators(edge: list[Manifest]) -> None:
    for path in ("/v1/new", "/fairlead.gateway.v1.PredictionService/New", "/v3", "/v2/models/a/b/c/d/e"):
        assert not let_in(edge, path, [Scope.PREDICT, Scope.FEEDBACK])
        assert let_in(edge, path, [Scope.ADMIN])


@pytest.mark.requirement("EDGE-002")
@pytest.mark.parametrize("path", CLOSED)
def test_what_operators_ask_is_not_found_by_anybody(edge: list[Manifest], path: str) -> None:
    (routes,) = (each for each in of_kind(edge, "VirtualService") if each.name == "gateway-edge")
    first = routes.at("spec", "http", 0)
    assert first["directResponse"] == {"status": 404}
    assert re.fullmatch(first["match"][0]["uri"]["regex"], path)
    assert let_in(edge, path, [])


@pytest.mark.requirement("EDGE-004")
def test_refusals_of_the_edge_have_the_fields_of_the_gateways_own(edge: list[Manifest]) -> None:
    seen = {}
    for mapper in mappers(edge, "edge-refusals-rest"):
        override = mapper["body_format_override"]
        body = override["json_format"]
        assert override["content_type"] == "application/problem+json"
        assert set(body) == {
            "type", "title", "status", "detail", "instance", "error", "code", "trace_id", "retryable", "violations",
        }  # fmt: skip
        assert body["status"] == mapper.get("status_code", body["status"])
        seen[body["status"]] = (body["code"], body["retryable"])
    assert seen == {
        401: ("UNAUTHENTICATED", False),
        403: ("PERMISSION_DENIED", False),
        404: ("NOT_FOUND", False),
        429: ("RESOURCE_EXHAUSTED", True),
        503: ("UNAVAILABLE", True),
        504: ("DEADLINE_EXCEEDED", True),
    }


@pytest.mark.requirement("EDGE-004", "EDGE-005")
def test_over_quota_a_grpc_caller_is_told_when_to_come_again(edge: list[Manifest]) -> None:
    headers = {
        row["header"]["key"]: row["header"]["value"]
        for each in mappers(edge, "edge-refusals-grpc")
        for row in each.get("headers_to_add", [])
    }
    details = headers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    assert (status.code, retry.retry_delay.seconds) == (8, 1)


def mappers(edge: Iterable[Manifest], name: str) -> list[Mapping[str, Any]]:
    (filters,) = (each for each in of_kind(edge, "EnvoyFilter") if each.name == name)
    found: list[Mapping[str, Any]] = filters.at(
        "spec", "configPatches", 0, "patch", "value", "typed_config", "local_reply_config", "mappers"
    )
    return found
