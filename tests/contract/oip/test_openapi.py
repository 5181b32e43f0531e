"""Schemathesis: requests generated from the shape of the protocol get what the protocol promises."""

from pathlib import Path
from typing import Protocol

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from oip_conformance.target import Target
from schemathesis.specs.openapi.checks import positive_data_acceptance

SHAPE = Path(__file__).parent / "openapi.yaml"

some = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class KitServers(Protocol):
    gateway: Target


protocol = schemathesis.openapi.from_dict(yaml.safe_load(SHAPE.read_text()))


@pytest.mark.requirement("OIP-015")
@protocol.parametrize()  # type: ignore[untyped-decorator]
@some
def test_the_gateway_has_the_protocols_shape(case: schemathesis.Case, kit_servers: KitServers) -> None:
    # The shape cannot know a model's tensors: most requests that it allows are rightly refused.
    case.call_and_validate(base_url=f"http://{kit_servers.gateway.http}", excluded_checks=[positive_data_acceptance])
