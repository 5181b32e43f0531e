"""What each service says of itself in README.md and service.yaml is true."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from fairlead.monitoring.v1 import monitoring_pb2
from fairlead.preprocessing.v1 import preprocessing_pb2
from local_stack.services import SERVICES
from tritonclient.grpc import service_pb2 as oip

ROOT = Path(__file__).resolve().parents[1]
NAMES = [spec.name for spec in SERVICES]
KEYS = {"name", "owner", "ports", "calls", "called_by", "slo", "gpu"}


@cache
def settings_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("settings_tables", ROOT / "tools" / "settings_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def declaration(service: str) -> Any:
    return yaml.safe_load((ROOT / "services" / service / "service.yaml").read_text())


@pytest.mark.requirement("REPO-001")
@pytest.mark.parametrize("service", NAMES)
def test_the_readme_lists_every_setting_with_its_default(service: str) -> None:
    """Mend it with: .venv/bin/python tools/settings_tables.py"""
    readme = (ROOT / "services" / service / "README.md").read_text()
    assert settings_tables().table(service) in readme


@pytest.mark.parametrize("service", NAMES)
def test_service_yaml_is_complete(service: str) -> None:
    declared = declaration(service)
    assert set(declared) == KEYS
    assert declared["name"] == service
    assert all(set(port) - {"methods"} == {"name", "port", "protocol", "from"} for port in declared["ports"])


@pytest.mark.parametrize("service", NAMES)
def test_a_grpc_port_names_the_methods_that_each_service_calls_on_it(service: str) -> None:
    for port in declaration(service)["ports"]:
        peers = set(port["from"]) & set(NAMES) if port["protocol"] == "grpc" else set()
        assert set(port.get("methods", {})) == peers
        assert [each for names in port.get("methods", {}).values() for each in names if not is_method(each)] == []


def is_method(name: str) -> bool:
    """Whether some contract has it, as in package.Service/Method."""
    service, _, method = name.partition("/")
    return any(
        service == found.full_name and method in found.methods_by_name
        for contract in (monitoring_pb2, oip, preprocessing_pb2)
        for found in contract.DESCRIPTOR.services_by_name.values()
    )


@pytest.mark.parametrize("spec", SERVICES, ids=NAMES)
def test_the_declared_ports_are_those_of_the_laptop(spec: Any) -> None:
    declared = {port["port"] for port in declaration(spec.name)["ports"]}
    assert declared == set(spec.ports.values())


@pytest.mark.parametrize("service", NAMES)
def test_callers_are_those_that_some_port_is_open_to(service: str) -> None:
    """kubelet and localhost are no callers: the one probes, the other is the process itself."""
    open_to = {peer for port in declaration(service)["ports"] for peer in port["from"]}
    assert open_to - {"kubelet", "localhost"} == set(declaration(service)["called_by"])


@pytest.mark.parametrize("service", NAMES)
def test_the_image_sets_what_is_a_setting_and_exposes_what_is_a_port(service: str) -> None:
    dockerfile = (ROOT / "services" / service / "Dockerfile").read_text()
    variables = set(re.findall(rf"\b{service.upper()}_[A-Z_]+(?==)", dockerfile))
    assert variables
    assert {name for name in variables if f"`{name}`" not in settings_tables().table(service)} == set()
    (exposed,) = re.findall(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE)
    assert {int(port) for port in exposed.split()} <= {port["port"] for port in declaration(service)["ports"]}


@pytest.mark.requirement("REPO-002")
def test_the_call_graph_is_declared_alike_from_both_ends() -> None:
    forward = {(caller, callee) for caller in NAMES for callee in declaration(caller)["calls"]}
    backward = {(caller, callee) for callee in NAMES for caller in declaration(callee)["called_by"] if caller in NAMES}
    assert forward == backward


def test_services_are_listed_after_those_they_call() -> None:
    for position, caller in enumerate(NAMES):
        assert set(declaration(caller)["calls"]) <= set(NAMES[:position])
