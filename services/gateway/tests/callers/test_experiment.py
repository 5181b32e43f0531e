"""Arms: fair, sticky, the same on every way in, heard by every hop, recorded."""

from typing import Any

import pytest
from gateway.callers.experiment import Experiment, parse_arms
from gateway.settings import Settings
from gateway_kit.calls import Call
from gateway_kit.issuer import Authorized
from gateway_kit.whole import OpenGateway

KEYS = [f"subject {number}" for number in range(20_000)]


def assigned(name: str, **arms: float) -> list[str]:
    experiment = Experiment(name, dict(arms))
    return [experiment.arm(key).name for key in KEYS]


@pytest.mark.requirement("CALLERS-008")
def test_arms_get_their_shares() -> None:
    arms = assigned("shapes", control=70, small=20, large=10, retired=0)
    for arm, share in {"control": 0.7, "small": 0.2, "large": 0.1}.items():
        assert arms.count(arm) / len(KEYS) == pytest.approx(share, abs=0.01), arm  # three standard deviations
    assert "retired" not in arms


@pytest.mark.requirement("CALLERS-008")
def test_a_changed_weight_moves_only_those_it_must() -> None:
    before, after = assigned("shapes", control=90, treatment=10), assigned("shapes", control=80, treatment=20)
    moves = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert set(moves) == {("control", "treatment")}
    assert len(moves) / len(KEYS) == pytest.approx(0.1, abs=0.01)


@pytest.mark.requirement("CALLERS-008")
def test_an_arm_that_goes_gives_its_callers_to_the_others_and_moves_nobody_else() -> None:
    before, after = assigned("shapes", a=1, b=1, c=2), assigned("shapes", a=1, b=1)
    assert all(old == new for old, new in zip(before, after, strict=True) if old != "c")
    given = [new for old, new in zip(before, after, strict=True) if old == "c"]
    assert given.count("a") / len(given) == pytest.approx(0.5, abs=0.02)


@pytest.mark.requirement("CALLERS-008")
def test_who_is_in_one_experiment_says_nothing_about_the_next() -> None:
    first, second = assigned("shapes", a=1, b=1), assigned("colours", a=1, b=1)
    both = sum(one == other for one, other in zip(first, second, strict=True))
    assert both / len(KEYS) == pytest.approx(0.5, abs=0.012)


@pytest.mark.requirement("CALLERS-008")
def test_assignment_is_the_same_in_every_process_and_release() -> None:
    """These very callers are in these arms for as long as an experiment runs: another hash would mix them."""
    experiment = Experiment("shapes", {"control": 50, "treatment": 50})
    assert [experiment.arm(f"subject {name}").name for name in ("ann", "ben", "cem", "dan", "eva", "fay")] == PINNED


PINNED = ["treatment", "control", "control", "treatment", "treatment", "control"]


@pytest.mark.requirement("CALLERS-008")
@pytest.mark.parametrize(
    ("experiment", "arms", "complaint"),
    [
        ("shapes", "", "EXPERIMENT_ARMS"),
        ("shapes", "control", "needs a weight"),
        ("shapes", "control=1,control=2", "twice"),
        ("shapes", "control=0,treatment=0", "above 0"),
        ("shapes", "control=-1", "0 or more"),
        ("shapes", "control=nan", "0 or more"),
        ("shapes", "Control Group=1", "no name"),
        ("Shapes!", "control=1", "lower case"),
    ],
)
def test_a_description_that_makes_no_sense_ends_the_start_with_a_line_that_says_so(
    experiment: str, arms: str, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_EXPERIMENT", experiment)
    monkeypatch.setenv("GATEWAY_EXPERIMENT_ARMS", arms)
    with pytest.raises(SystemExit):
        Settings.read()
    assert complaint in capsys.readouterr().err


EXPERIMENT = {"experiment": "shapes", "experiment_arms": "control=50,treatment=50"}


@pytest.mark.requirement("CALLERS-009")
async def test_a_caller_is_in_the_same_arm_on_every_way_in_and_every_hop_hears_of_it(
    open_gateway: OpenGateway, with_tokens: dict[str, Any], authorized: Authorized, calls: dict[str, Call]
) -> None:
    arms = {}
    async with open_gateway(**with_tokens, **EXPERIMENT) as gateway:
        for subject in ("ann", "ben", "cem", "dan", "eva", "fay"):
            gateway.neighbours.heard.clear()
            answers = [await call(gateway, authorized("predict", subject=subject)) for call in calls.values()]
            [arms[subject]] = {answer.headers["x-experiment-arm"] for answer in answers}
            heard = [(rpc, arm) for rpc, arm in gateway.neighbours.heard if rpc in ("Transform", "ModelInfer")]
            assert len(heard) == 3 + len(calls)
            assert {arm for _, arm in heard} == {arms[subject]}
    assert set(arms.values()) == {"control", "treatment"}
    assert [made.arm for made in gateway.neighbours.recorded] == [arm for arm in arms.values() for _ in range(3)]
    assert {made.experiment for made in gateway.neighbours.recorded} == {"shapes"}
    described = Experiment("shapes", parse_arms("control=50,treatment=50"))
    assert arms == {subject: described.arm(f"subject {subject}").name for subject in arms}


@pytest.mark.requirement("CALLERS-009")
async def test_without_an_experiment_there_are_no_arms(open_gateway: OpenGateway, call: Call) -> None:
    async with open_gateway() as gateway:
        answer = await call(gateway, {"x-experiment-arm": "treatment"})
    assert answer.code == "OK"
    assert "x-experiment-arm" not in answer.headers
    assert {arm for _, arm in gateway.neighbours.heard} == {None}
    assert {(made.experiment, made.arm) for made in gateway.neighbours.recorded} <= {("", "")}


@pytest.mark.requirement("CALLERS-010")
@pytest.mark.parametrize(
    ("asked", "settings"), [("control", {}), ("treatment", {}), ("elsewhere", {"experiment_override": True})]
)
async def test_an_arm_asked_for_is_given_only_if_it_is_declared_and_may_be_asked_for(
    open_gateway: OpenGateway, call: Call, asked: str, settings: dict[str, bool]
) -> None:
    async with open_gateway(**EXPERIMENT, **settings) as gateway:
        own = (await call(gateway, {})).headers["x-experiment-arm"]
        assert (await call(gateway, {"x-experiment-arm": asked})).headers["x-experiment-arm"] == own


@pytest.mark.requirement("CALLERS-010")
@pytest.mark.parametrize("asked", ["control", "treatment"])
async def test_a_declared_arm_may_be_asked_for_where_the_settings_say_so(
    open_gateway: OpenGateway, call: Call, asked: str
) -> None:
    async with open_gateway(**EXPERIMENT, experiment_override=True) as gateway:
        assert (await call(gateway, {"x-experiment-arm": asked})).headers["x-experiment-arm"] == asked
    assert {arm for rpc, arm in gateway.neighbours.heard if rpc in ("Transform", "ModelInfer")} == {asked}


@pytest.mark.requirement("CALLERS-011")
async def test_every_answer_and_record_names_the_revision_that_gave_it(
    open_gateway: OpenGateway, call: Call, with_tokens: dict[str, Any]
) -> None:
    async with open_gateway(revision="abc-7") as gateway:
        assert (await call(gateway, {})).headers["x-fairlead-revision"] == "abc-7"
        assert {made.revision for made in gateway.neighbours.recorded} <= {"abc-7"}
    async with open_gateway(**with_tokens, git_commit="5bca") as gateway:
        refused = await call(gateway, {})
        assert (refused.code, refused.headers["x-fairlead-revision"]) == ("UNAUTHENTICATED", "5bca")
