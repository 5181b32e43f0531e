"""Every metric that a dashboard or a rule reads is one that something exports."""

import urllib.request
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import pytest
from loadtests.payloads import binary_tensor, grpc_tensor, json_tensor, native_picture
from local_stack.stack import Stack
from observability.objectives import ROUTES
from observability.queries import exported, expressions, metrics_of
from prometheus_client import REGISTRY, CollectorRegistry

from loadtests.profiles import KINDS

SEVEN = Path(__file__).resolve().parents[2] / "local_stack" / "src" / "local_stack" / "seven.png"
_OURS = ("gateway", "preprocessing", "inference", "monitoring")
_SUFFIXES = {"counter": {"_total"}, "histogram": {"_bucket", "_count", "_sum"}}


def read_by_us(dashboards: dict[str, dict[str, Any]], rules: list[dict[str, Any]]) -> set[str]:
    """Return every name that is read and not recorded by the rules themselves."""
    asked = [expression for each in dashboards.values() for _, expression in expressions(each)]
    asked += [rule["expr"] for rule in rules]
    return {name for each in asked for name in metrics_of(each)} - {rule.get("record") for rule in rules}


def registered() -> set[str]:
    """Return the names that our services register, without running them."""
    registry = CollectorRegistry()
    gateway, preprocessing, monitoring = (import_module(f"{name}.metrics") for name in _OURS if name != "inference")
    for kind in ("RecorderMetrics", "UpstreamMetrics", "RequestMetrics", "CallerMetrics", "IssuerMetrics"):
        getattr(gateway, kind)(registry)
    for module, kind in ((preprocessing, "Metrics"), (monitoring, "Metrics"), (monitoring, "QualityMetrics")):
        getattr(module, kind)(registry)
    import_module("inference.metrics")
    return {
        family.name + suffix
        for each in (registry, REGISTRY)
        for family in each.collect()
        for suffix in _SUFFIXES.get(family.type, {""})
    }


@pytest.mark.requirement("GRAPHS-002")
def test_what_is_read_is_exported_by_a_service_or_known_of_a_program(
    every_dashboard: dict[str, dict[str, Any]], rules: list[dict[str, Any]], foreign: set[str]
) -> None:
    read = read_by_us(every_dashboard, rules)
    tritons = {name for name in read if name.startswith("nv_")}
    assert read - registered() - foreign - tritons == set()
    assert foreign - read == {"envoy_server_live"}, "named for nothing"


@pytest.mark.chain
@pytest.mark.requirement("GRAPHS-002")
def test_triton_exports_what_is_read_and_the_gateway_counts_each_kind_where_its_objectives_look(
    every_dashboard: dict[str, dict[str, Any]], rules: list[dict[str, Any]], foreign: set[str], stack: Stack
) -> None:
    assert set(ROUTES) == set(KINDS)
    send_one_of_each_kind(stack)
    routes = exported(text_of(f"{stack.operations_url('gateway')}/metrics"))["gateway_requests_total"]
    assert set(ROUTES.values()) - routes == set()
    tritons = exported(text_of(f"http://127.0.0.1:{stack.ports['inference']['triton_metrics']}/metrics"))
    read = {name for name in read_by_us(every_dashboard, rules) if name.startswith("nv_")}
    assert read - set(tritons) - foreign == set()


def send_one_of_each_kind(stack: Stack) -> None:
    picture, row = SEVEN.read_bytes(), [8.0] * 64
    text_of(f"{stack.http_url}/v1/models/digits:predict", picture, {"content-type": "image/png"})
    for body, headers in (json_tensor(row), binary_tensor(row)):
        text_of(f"{stack.http_url}/v2/models/digits/infer", body, headers)
    with grpc.insecure_channel(stack.grpc_address) as channel:
        for method, message in (
            (ROUTES["grpc.predict"], native_picture(picture)),
            (ROUTES["grpc.infer"], grpc_tensor(row)),
        ):
            call: Any = channel.unary_unary(method)
            call(message, timeout=10)


def text_of(url: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers)), timeout=10) as answer:
        return str(answer.read().decode("latin-1"))
