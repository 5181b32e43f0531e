"""Judgements as a canary analysis polls them, from the labels that the real service was given."""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from fairlead.events.v1.events_pb2 import PredictionMade
from fairlead.monitoring.v1 import monitoring_pb2 as pb
from local_stack.eventually import eventually

pytestmark = pytest.mark.component

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
OLDEST = "sha256:" + "2" * 64
RIGHT, WRONG = "7", "1"

Label = Callable[..., Awaitable[None]]


@pytest.fixture
def label(monitoring: Any, feedback: Any) -> Label:
    """Record predictions together, then give each its label, in this order; `at` is all labels' given_at."""

    async def record_and_label(
        *pairs: tuple[PredictionMade, str], service: Any = monitoring, at: float | None = None
    ) -> None:
        await service.record(*(prediction for prediction, _ in pairs))
        async with service.stub() as stub:
            for prediction, right in pairs:
                given = feedback(prediction.prediction_id, right, at=at)
                await stub.RecordFeedback(pb.RecordFeedbackRequest(feedback=given), timeout=5)

    return record_and_label


def judged(monitoring: Any, **query: Any) -> Any:
    status, headers, body = monitoring.page(f"/v1/judgements/accuracy?{urlencode(asked(monitoring, **query))}")
    assert (status, headers["cache-control"]) == (200, "no-store"), body
    return body


def asked(monitoring: Any, **query: Any) -> dict[str, Any]:
    # What is refused is generous, so that few labels decide.
    return {"model": monitoring.model, "stable": OLD, "canary": NEW, "refused_drop": 0.5, **query}


def alternating(made: Any, count: int, *, stable: str, canary: str, **fields: Any) -> list[tuple[Any, str]]:
    return [
        pair
        for _ in range(count)
        for pair in ((made(digest=OLD, **fields), stable), (made(digest=NEW, **fields), canary))
    ]


@pytest.mark.requirement("MONITORING-027")
async def test_a_canary_that_is_worse_is_to_be_aborted_and_stays_so(monitoring: Any, made: Any, label: Label) -> None:
    assert judged(monitoring)["verdict"] == "inconclusive"
    await label(*alternating(made, 5, stable=RIGHT, canary=WRONG))
    early = judged(monitoring)
    assert (early["verdict"], early["canary"]["trials"]) == ("inconclusive", 5)
    assert 1 < early["evidence"]["abort"] < early["limits"]["evidence_needed"] == 100

    await label(*alternating(made, 15, stable=RIGHT, canary=WRONG))
    abort = judged(monitoring)
    assert abort["verdict"] == "abort"
    assert abort["evidence"]["abort"] >= 100 > abort["evidence"]["promote"]
    assert (abort["canary"]["name"], abort["canary"]["value"], abort["stable"]["value"]) == (NEW, 0, 1)
    assert abort["canary"]["trials"] < 20, "it counts what was needed, not what came after it"
    assert abort["canary"]["lower"] == 0 < abort["canary"]["upper"] < 0.5
    assert abort["limits"] == {"tolerated_drop": 0.01, "refused_drop": 0.5, "alpha": 0.01, "evidence_needed": 100}

    await label(*alternating(made, 20, stable=WRONG, canary=RIGHT))
    assert judged(monitoring) == abort


@pytest.mark.requirement("MONITORING-027")
async def test_a_canary_that_is_as_good_may_be_promoted(monitoring: Any, made: Any, label: Label) -> None:
    await label(*alternating(made, 20, stable=RIGHT, canary=RIGHT))
    promote = judged(monitoring)
    assert promote["verdict"] == "promote"
    assert promote["evidence"]["promote"] >= 100
    assert judged(monitoring, refused_drop=0.05)["verdict"] == "inconclusive", (
        "smaller drops take more labels to rule out"
    )


@pytest.mark.requirement("MONITORING-027")
async def test_a_verdict_is_the_same_after_a_restart_and_a_change_of_the_labels(
    start_monitoring: Any, made: Any, label: Label
) -> None:
    monitoring = start_monitoring(commit_interval=0)
    pairs = alternating(made, 20, stable=RIGHT, canary=WRONG)
    await label(*pairs, service=monitoring)
    before = judged(monitoring)
    monitoring.process.kill()
    monitoring.process.restart()
    assert judged(monitoring) == before
    await label(*((prediction, RIGHT) for prediction, _ in pairs), service=monitoring, at=time.time() + 60)
    (newer, _) = await monitoring.quality()
    assert newer.accuracy.value == 1, "quality takes the corrected labels"
    assert judged(monitoring) == before, "what was judged stays judged by the labels that came first"


@pytest.mark.requirement("MONITORING-028")
async def test_labels_count_in_the_order_in_which_they_came_and_once(
    monitoring: Any, made: Any, label: Label, feedback: Any
) -> None:
    """Labels that come late, twice or before their prediction each make one observation."""
    late, early = made(digest=NEW, ago=60), made(digest=OLD, ago=30)
    await monitoring.give(feedback(early.prediction_id, RIGHT))
    await monitoring.record(late)
    await label((made(digest=NEW), RIGHT), (made(digest=OLD), WRONG))
    await monitoring.record(early)
    for _ in range(3):
        await monitoring.give(feedback(late.prediction_id, RIGHT))
    both = judged(monitoring)
    assert [(both[side]["successes"], both[side]["trials"]) for side in ("stable", "canary")] == [(1, 2), (2, 2)]


@pytest.mark.requirement("MONITORING-028")
async def test_pictures_of_one_call_are_one_observation(monitoring: Any, made: Any, label: Label) -> None:
    first = made(digest=NEW)
    batch = [made(digest=NEW, made_at=first.made_at, trace_id=first.trace_id) for _ in range(4)]
    await label((first, RIGHT), *((each, WRONG) for each in batch), (made(digest=OLD), RIGHT))
    canary = judged(monitoring)["canary"]
    assert (canary["successes"], canary["trials"]) == (1, 1)


@pytest.mark.requirement("MONITORING-028")
async def test_only_calls_since_the_canary_began_or_since_a_given_moment_are_compared(
    monitoring: Any, made: Any, label: Label
) -> None:
    await label(*((made(digest=OLD, ago=7200), WRONG) for _ in range(5)))
    await label(*alternating(made, 2, stable=WRONG, canary=WRONG, ago=3600))
    await label((made(digest=OLD, ago=7200), WRONG), *alternating(made, 3, stable=RIGHT, canary=RIGHT, ago=60))
    whole = judged(monitoring)
    assert (whole["stable"]["trials"], whole["canary"]["trials"]) == (4, 5), "from the canary's first call on"
    recent = judged(monitoring, since=made(ago=600).made_at.ToJsonString())
    assert [(recent[side]["successes"], recent[side]["trials"]) for side in ("stable", "canary")] == [(3, 3), (3, 3)]


@pytest.mark.requirement("MONITORING-029")
async def test_revisions_and_arms_are_judged_as_digests_are(monitoring: Any, made: Any, label: Label) -> None:
    def fields(name: str) -> dict[str, str]:
        return {"revision": f"revision-{name}", "experiment": "colours", "arm": name}

    pairs = [
        pair
        for _ in range(20)
        for pair in ((made(**fields("red")), RIGHT), (made(**fields("blue")), WRONG), (made(), WRONG))
    ]
    await label(*pairs)
    by_revision = judged(monitoring, by="revision", stable="revision-red", canary="revision-blue")
    by_arm = judged(monitoring, by="arm", stable="colours/red", canary="colours/blue")
    assert (by_revision["verdict"], by_arm["verdict"]) == ("abort", "abort")
    assert by_arm["stable"]["value"] == 1
    assert judged(monitoring, by="arm", stable="colours/blue", canary="colours/red")["verdict"] == "promote"


@pytest.mark.requirement("MONITORING-036")
async def test_a_new_digest_is_judged_against_whoever_else_answers(monitoring: Any, made: Any, label: Label) -> None:
    await label(*alternating(made, 20, stable=RIGHT, canary=WRONG))
    against_others = judged(monitoring, stable="others")
    assert (against_others["verdict"], against_others["stable"]["name"]) == ("abort", "others")
    assert against_others["evidence"] == judged(monitoring)["evidence"]


@pytest.mark.requirement("MONITORING-036")
async def test_a_digest_that_alone_answers_needs_no_labels_once_enough_calls_show_it(
    monitoring: Any, made: Any
) -> None:
    """A release that leaves the model as it is: its calls are the same digest's as stable's."""
    await monitoring.record(made(digest=OLD, ago=600), *(made(digest=NEW) for _ in range(19)))
    assert judged(monitoring, stable="others")["verdict"] == "inconclusive"
    await monitoring.record(made(digest=NEW))
    alone = judged(monitoring, stable="others")
    assert (alone["verdict"], alone["canary"]["trials"]) == ("promote", 0)
    assert "Nobody else answers" in alone["reason"]
    await monitoring.record(made(digest=OLD))
    assert judged(monitoring, stable="others")["verdict"] == "inconclusive"


@pytest.mark.requirement("MONITORING-040")
async def test_verdicts_on_whoever_answers_these_days_are_metrics(monitoring: Any, made: Any, label: Label) -> None:
    fields = {"revision": "hash-of-pods"}
    await label(*alternating(made, 20, stable=RIGHT, canary=WRONG), *((made(**fields), WRONG) for _ in range(2)))
    await monitoring.record(made(digest=OLDEST, ago=3600))

    def verdict(by: str, name: str) -> float:
        return monitoring.metric(f'monitoring_judgement{{by="{by}",model="{monitoring.model}",name="{name}"}}')

    eventually(lambda: verdict("digest", NEW) == -1, within=10)
    assert monitoring.metric(
        f'monitoring_judgement_evidence{{by="digest",model="{monitoring.model}",name="{NEW}",verdict="abort"}}'
    ) == pytest.approx(judged(monitoring, stable="others", refused_drop=0.05)["evidence"]["abort"], rel=1e-3)
    assert verdict("revision", "hash-of-pods") == 0
    assert (
        monitoring.metric(
            f'monitoring_judgement_evidence{{by="digest",model="{monitoring.model}",name="{OLDEST}",verdict="abort"}}'
        )
        == 0
    ), "who has not answered lately is not there"


@pytest.mark.requirement("MONITORING-029")
async def test_sides_that_several_models_share_need_the_model(monitoring: Any, made: Any, label: Label) -> None:
    other = made(digest=NEW)
    other.model.name += "-other"
    await label((made(digest=OLD), RIGHT), (other, RIGHT))
    status, _, problem = monitoring.page(f"/v1/judgements/accuracy?{urlencode({'stable': OLD, 'canary': NEW})}")
    assert (status, [each["field"] for each in problem["violations"]]) == (400, ["model"])


@pytest.mark.requirement("MONITORING-027")
async def test_a_judgement_without_labels_says_what_is_missing(monitoring: Any, made: Any, label: Label) -> None:
    nothing = judged(monitoring)
    assert (nothing["verdict"], nothing["since"], nothing["canary"]["value"]) == ("inconclusive", None, None)
    assert "No labelled call of canary yet" in nothing["reason"]
    await label((made(digest=NEW), RIGHT))
    assert "No labelled call of stable yet" in judged(monitoring)["reason"]


@pytest.mark.requirement("MONITORING-030")
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"by": "colour"}, "by"),
        ({"stable": ""}, "stable"),
        ({"canary": "sha256:1"}, "canary"),
        ({"canary": OLD}, "canary"),
        ({"by": "arm", "stable": "red", "canary": "blue"}, "stable"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-31T12:00:00"}, "since"),
        ({"tolerated_drop": "-0.1"}, "tolerated_drop"),
        ({"tolerated_drop": "nan"}, "tolerated_drop"),
        ({"tolerated_drop": "0.6"}, "refused_drop"),
        ({"refused_drop": "5"}, "refused_drop"),
        ({"alpha": "0"}, "alpha"),
        ({"alpha": "1e-3"}, "alpha"),
        ({"tolerated": "0.1"}, "tolerated"),
    ],
)
async def test_a_wrong_question_for_a_judgement_is_answered_with_what_is_allowed(
    monitoring: Any, changed: dict[str, str], field: str
) -> None:
    query = urlencode(asked(monitoring, **changed))
    status, headers, problem = monitoring.page(f"/v1/judgements/accuracy?{query}")
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert [each["field"] for each in problem["violations"]] == [field]
    assert problem["detail"]
