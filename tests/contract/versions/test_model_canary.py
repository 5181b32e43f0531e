"""A model canary: two real Tritons with two versions behind one address, and what the gateway's callers see of it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

pytestmark = [
    pytest.mark.component,
    pytest.mark.chain,
    pytest.mark.xdist_group("chain"),
    pytest.mark.timeout(240),
]

WAYS = ("native_rest", "native_grpc", "oip_rest", "oip_grpc")
CALLS = 100


@pytest.mark.requirement("MODELS-001", "OIP-006")
async def test_every_answer_of_a_mix_names_the_digest_that_gave_it_and_none_is_refused(
    gateway: Any, mesh: Any, versions: tuple[str, str], digests: Mapping[str, str]
) -> None:
    for share in (0.05, 0.5, 1.0, 0.0):
        mesh.canary_share = share
        seen: Counter[str] = Counter()
        for way in WAYS:
            for _ in range(CALLS):
                answered = await getattr(gateway, way)({})
                assert answered.digest == digests[answered.version]
                assert answered.headers["x-fairlead-revision"] == "tested"
                seen[answered.version] += 1
        assert seen[versions[1]] / seen.total() == pytest.approx(share, abs=0.06)


@pytest.mark.requirement("MODELS-001")
async def test_a_mix_costs_no_calls_beside_those_that_are_made_anyway(gateway: Any, mesh: Any) -> None:
    """But for the descriptions, which are asked for every two seconds."""
    mesh.canary_share = 0.5
    for way in WAYS:
        for _ in range(10):
            await getattr(gateway, way)({})
    before = await inference_calls(gateway)
    for _ in range(200):
        await gateway.oip_grpc({})
    assert await inference_calls(gateway) - before < 220


@pytest.mark.requirement("MODELS-003")
@pytest.mark.parametrize("way", ["oip_rest", "oip_grpc"])
async def test_a_version_that_few_have_answers_who_asks_for_it(
    gateway: Any, mesh: Any, versions: tuple[str, str], way: str
) -> None:
    for share in (1.0, 0.0):  # an answer of each has been seen
        mesh.canary_share = share
        await getattr(gateway, way)({})
    mesh.canary_share = 0.1
    for version in versions * 10:
        assert (await getattr(gateway, way)({}, version)).version == version
    config = await gateway.http.get(f"/v2/models/digits/versions/{versions[1]}/config")
    assert config.json()["version_policy"] == {"specific": {"versions": [int(versions[1])]}}


@pytest.mark.requirement("MODELS-003")
async def test_a_version_that_nobody_has_any_more_is_not_found(
    gateway: Any, mesh: Any, versions: tuple[str, str]
) -> None:
    mesh.canary_share = 1.0
    await gateway.oip_rest({})
    mesh.canary_share = 0.0
    answer = await gateway.http.get(f"/v2/models/digits/versions/{versions[1]}")
    assert answer.status_code == 404


async def inference_calls(gateway: Any) -> float:
    async with httpx2.AsyncClient() as client:
        metrics = (await client.get(gateway.stack.operations_url("gateway") + "/metrics")).text
    lines = [
        line
        for line in metrics.splitlines()
        if line.startswith("gateway_upstream_requests_total{") and 'upstream="inference"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
