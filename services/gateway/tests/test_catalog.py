"""What the catalog asks Triton, what it knows without asking, and several Tritons behind one address."""

from collections.abc import Callable
from itertools import cycle
from typing import Any, NoReturn

import pytest
from gateway.callers.caller import Arm, Caller, current_caller, work_for
from gateway.triton_catalog import TritonCatalog
from google.protobuf.message import Message
from service_runtime.deadlines import Deadline
from service_runtime.errors import DependencyUnavailable, NotFound
from tritonclient.grpc import service_pb2 as oip


class NeverAsked:
    async def infer(self, request: bytes, *, deadline: Deadline) -> NoReturn:
        raise AssertionError("Triton was asked for an inference")

    async def call(self, rpc: str, request: object, response: object, *, deadline: Deadline) -> NoReturn:
        raise AssertionError(f"Triton was asked {rpc}")


class SeveralTritons:
    """Tritons with one version of digits each, of which each call meets another, in the order given."""

    def __init__(self, *versions: str, by_arm: dict[str, str] | None = None) -> None:
        self.serve(*versions)
        self.by_arm = by_arm or {}
        self.asked: list[str] = []

    def serve(self, *versions: str) -> None:
        self._turns = cycle(versions)

    async def infer(self, request: bytes, *, deadline: Deadline) -> NoReturn:
        raise AssertionError("Triton was asked for an inference")

    async def call(self, rpc: str, request: Any, response: type[Any], *, deadline: Deadline) -> Any:
        self.asked.append(rpc)
        if rpc == "ModelReady":
            return oip.ModelReadyResponse(ready=True)
        assert rpc == "ModelConfig", "two calls may meet two Tritons: what belongs together comes from one"
        caller = current_caller()
        met = self.by_arm[caller.arm.name] if caller and caller.arm else next(self._turns)
        if request.version not in ("", met):
            raise NotFound(f"no version {request.version}")
        return described(met)


def described(version: str) -> Message:
    answer = oip.ModelConfigResponse()
    answer.config.name = "digits"
    answer.config.version_policy.specific.versions.append(int(version))
    answer.config.parameters["digest"].string_value = digest(version)
    return answer


def digest(version: str) -> str:
    return f"sha256:{int(version):064x}"


def soon() -> Deadline:
    return Deadline.after(5)


@pytest.mark.requirement("NATIVE-004")
@pytest.mark.parametrize(
    ("name", "version"),
    [("", ""), ("x" * 257, ""), ("digits", "one"), ("digits", "-1"), ("digits", "\N{ARABIC-INDIC DIGIT THREE}")],
)
async def test_what_cannot_be_a_model_is_not_found_without_asking(name: str, version: str) -> None:
    with pytest.raises(NotFound) as refused:
        await TritonCatalog(NeverAsked(), ttl=1).get(name, version, deadline=soon())
    assert len(refused.value.message) < 300


@pytest.mark.requirement("MODELS-001")
async def test_version_and_digest_of_a_description_belong_together_whoever_is_met() -> None:
    catalog = TritonCatalog(SeveralTritons("1", "2", "2", "1"), ttl=0)
    for _ in range(8):
        model = await catalog.get("digits", deadline=soon())
        assert model.digest == digest(model.version)


@pytest.mark.requirement("MODELS-001")
async def test_the_version_that_answered_is_found_where_one_call_in_a_hundred_meets_it() -> None:
    tritons = SeveralTritons(*["1"] * 99, "2")
    catalog = TritonCatalog(tritons, ttl=60)
    await catalog.get("digits", deadline=soon())
    assert (await catalog.answering("digits", "2", deadline=soon())).digest == digest("2")


@pytest.mark.requirement("MODELS-001")
async def test_a_version_that_answered_once_is_never_asked_for_again() -> None:
    tritons = SeveralTritons("1", "2")
    catalog = TritonCatalog(tritons, ttl=0.0)
    await catalog.answering("digits", "2", deadline=soon())
    tritons.serve("1")
    before = len(tritons.asked)
    for _ in range(100):
        await catalog.answering("digits", "2", deadline=soon())
    assert len(tritons.asked) == before


@pytest.mark.requirement("MODELS-001")
async def test_a_version_that_nobody_has_any_more_is_worth_a_retry() -> None:
    catalog = TritonCatalog(SeveralTritons("1"), ttl=60)
    with pytest.raises(DependencyUnavailable):
        await catalog.answering("digits", "2", deadline=soon())


@pytest.mark.requirement("MODELS-003")
async def test_a_version_that_some_have_is_there_for_who_asks_for_it() -> None:
    catalog = TritonCatalog(SeveralTritons("1", "1", "1", "2"), ttl=0.0)
    await catalog.answering("digits", "2", deadline=soon())
    for version in "1212":
        assert (await catalog.get("digits", version, deadline=soon())).digest == digest(version)


@pytest.mark.requirement("MODELS-003")
async def test_a_version_that_is_retired_is_looked_for_once_and_then_not_found_at_once() -> None:
    tritons = SeveralTritons("1", "2")
    catalog = TritonCatalog(tritons, ttl=0.0)
    await catalog.answering("digits", "2", deadline=soon())
    tritons.serve("1")
    costs = [await cost(tritons, lambda: catalog.get("digits", "2", deadline=soon())) for _ in range(2)]
    assert costs[0] > 100
    assert costs[1] <= 2


async def cost(tritons: SeveralTritons, call: Callable[[], Any]) -> int:
    """Return how many calls it takes to learn that there is no such version."""
    before = len(tritons.asked)
    with pytest.raises(NotFound):
        await call()
    return len(tritons.asked) - before


@pytest.mark.requirement("MODELS-001")
async def test_each_arm_of_an_experiment_has_its_own_description() -> None:
    catalog = TritonCatalog(SeveralTritons("1", by_arm={"control": "1", "treatment": "2"}), ttl=60)
    for arm, version in (("control", "1"), ("treatment", "2"), ("control", "1")):
        work_for(Caller("somebody", Arm("shapes", arm)))
        assert (await catalog.get("digits", deadline=soon())).version == version
