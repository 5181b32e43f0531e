"""The canary as treatment and as shadow: two real Tritons, a gateway, and routes by header between them."""

from typing import Any

import httpx2
import pytest
from local_stack.eventually import eventually_async

pytestmark = [
    pytest.mark.component,
    pytest.mark.chain,
    pytest.mark.xdist_group("chain"),
    pytest.mark.timeout(240),
]

CALLERS = [f"caller-{number}" for number in range(20)]


@pytest.fixture
def gateway_settings(mesh_address: str) -> dict[str, str]:
    return {
        "GATEWAY_EXPERIMENT": "shapes",
        "GATEWAY_EXPERIMENT_ARMS": "control=50,treatment=50",
        "GATEWAY_CALLER_HEADER": "x-caller",
        "GATEWAY_SHADOW_ADDRESS": mesh_address,
        "GATEWAY_SHADOW_TOLERANCE": "1",
    }


@pytest.mark.requirement("MODELS-006")
async def test_a_caller_keeps_its_arm_and_its_version_through_a_release_of_the_gateway(
    gateway: Any, mesh: Any, versions: tuple[str, str]
) -> None:
    mesh.canary_arms = {"treatment"}
    before = {caller: await gateway.oip_grpc({"x-caller": caller}) for caller in CALLERS}
    arms = {caller: answered.headers["x-experiment-arm"] for caller, answered in before.items()}
    assert set(arms.values()) == {"control", "treatment"}
    gateway.stack["gateway"].restart()
    for caller, arm in arms.items():
        for way in ("native_rest", "oip_rest"):
            answered = await getattr(gateway, way)({"x-caller": caller})
            assert answered.headers["x-experiment-arm"] == arm
            assert answered.version == before[caller].version == versions[arm == "treatment"]


@pytest.mark.requirement("MODELS-007")
async def test_a_canary_that_answers_nobody_is_compared_with_stable(
    gateway: Any, mesh: Any, versions: tuple[str, str], digests: dict[str, str]
) -> None:
    asked = {"stable": digests[versions[0]], "canary": digests[versions[1]]}

    async def compared() -> bool:
        assert (await gateway.native_rest({})).version == versions[0]
        async with httpx2.AsyncClient(base_url=gateway.stack.monitoring_url) as client:
            found = (await client.get("/v1/judgements/disagreement", params=asked)).json()
        return found["disagreements"]["trials"] > 5

    await eventually_async(compared, within=60)
