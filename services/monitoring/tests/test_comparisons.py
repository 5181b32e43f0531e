"""Answers of a shadow against stable's: recorded by who has both, judged by how often they differ."""

import math
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest
from fairlead.events.v1.events_pb2 import AnswersCompared, ModelRef, TensorCompared
from fairlead.monitoring.v1 import monitoring_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from local_stack.eventually import eventually

pytestmark = pytest.mark.component

OLD = "sha256:" + "0" * 64
DAY = 86_400
Compared = Callable[..., AnswersCompared]


@pytest.fixture
def shadow() -> str:
    """A digest that only this test compares."""
    return "sha256:" + secrets.token_hex(32)


@pytest.fixture
def compared(shadow: str, made: Any) -> Compared:
    """Make a comparison of answers that agree; keywords replace its fields, `ago` moves it into the past by seconds."""

    def make_comparison(*, ago: float = 0, **fields: Any) -> AnswersCompared:
        at = Timestamp()
        at.FromMicroseconds(int((time.time() - ago) * 1e6))
        defaults = {
            "comparison_id": made().prediction_id,
            "compared_at": at,
            "stable": ModelRef(name="digits", version="1", digest=OLD),
            "shadow": ModelRef(name="digits", version="2", digest=shadow),
            "tensors": [tensor("label"), tensor("probabilities", largest_difference=1e-7)],
        }
        return AnswersCompared(**{**defaults, **fields})

    return make_comparison


def tensor(name: str, **fields: Any) -> TensorCompared:
    return TensorCompared(name=name, **{"largest_difference": 0, **fields})


async def record(monitoring: Any, *comparisons: AnswersCompared) -> None:
    async with monitoring.stub() as stub:
        await stub.RecordComparisons(pb.RecordComparisonsRequest(comparisons=comparisons), timeout=5)


def judged(monitoring: Any, shadow: str, **query: Any) -> Any:
    asked = urlencode({"stable": OLD, "canary": shadow, "refused_rate": 0.5, **query})
    status, headers, body = monitoring.page(f"/v1/judgements/disagreement?{asked}")
    assert (status, headers["cache-control"]) == (200, "no-store"), body
    return body


@pytest.mark.requirement("MONITORING-034")
async def test_a_shadow_that_answers_otherwise_is_judged_so_and_the_verdict_stays(
    monitoring: Any, compared: Compared, shadow: str
) -> None:
    assert judged(monitoring, shadow)["verdict"] == "inconclusive"
    off = [tensor("label"), tensor("probabilities", differs=True, largest_difference=0.25)]
    await record(
        monitoring,
        compared(),
        compared(tensors=off),
        compared(labels_differ=True),
        compared(shadow_failed=True, tensors=[]),
    )
    early = judged(monitoring, shadow, tolerated_rate=0.3)
    assert (early["verdict"], early["disagreements"]["successes"], early["disagreements"]["trials"]) == (
        "inconclusive",
        3,
        4,
    )
    assert (early["shadow_failed"], early["labels_differed"]) == (1, 1)
    assert early["tensors"] == [
        {"name": "label", "compared": 3, "differed": 0, "largest_difference": 0},
        {"name": "probabilities", "compared": 3, "differed": 1, "largest_difference": 0.25},
    ]
    await record(monitoring, *(compared(labels_differ=True) for _ in range(10)))
    abort = judged(monitoring, shadow)
    assert (abort["verdict"], abort["limits"]["tolerated_rate"]) == ("abort", 0.02)
    assert abort["evidence"]["abort"] >= 100
    assert abort["labels_differed"] < 11, "it counts what was needed, not what came after it"
    await record(monitoring, *(compared() for _ in range(50)))
    assert judged(monitoring, shadow) == abort


@pytest.mark.requirement("MONITORING-037")
async def test_comparisons_are_counted_by_what_they_came_to(monitoring: Any, compared: Compared, shadow: str) -> None:
    repeated = compared(labels_differ=True)
    off = [tensor("probabilities", differs=True, largest_difference=0.25)]
    failed = compared(shadow_failed=True, labels_differ=True, tensors=[])
    await record(monitoring, compared(), compared(), repeated, repeated, compared(tensors=off), failed)

    def counted(outcome: str) -> float:
        pair = f'shadow="{shadow.removeprefix("sha256:")[:12]}",stable="{"0" * 12}"'
        labels = f'{{model="digits",outcome="{outcome}",{pair}}}'
        return float(monitoring.metric(f"monitoring_comparisons_recorded_total{labels}"))

    outcomes = ("agreed", "label", "tensors", "failed")
    assert {outcome: counted(outcome) for outcome in outcomes} == dict(zip(outcomes, (2, 1, 1, 1), strict=True))


@pytest.mark.requirement("MONITORING-041")
async def test_verdicts_on_the_shadows_of_these_days_are_metrics(
    monitoring: Any, compared: Compared, shadow: str
) -> None:
    def verdict(stable: str) -> float:
        labels = f'model="digits",shadow="{shadow}",stable="{stable}"'
        return float(monitoring.metric(f"monitoring_disagreement_judgement{{{labels}}}"))

    before = "sha256:" + secrets.token_hex(32)
    earlier = {"stable": ModelRef(name="digits", version="0", digest=before), "ago": 3600}
    await record(monitoring, *(compared(shadow_failed=True, tensors=[], **earlier) for _ in range(10)))
    await record(monitoring, *(compared(shadow_failed=True, tensors=[]) for _ in range(10)))
    eventually(lambda: verdict(OLD) == -1, within=10)
    assert verdict(before) == 0, "a pair that is not compared these days is not there"
    labels = f'model="digits",shadow="{shadow}",stable="{OLD}",verdict="abort"'
    assert monitoring.metric(f"monitoring_disagreement_judgement_evidence{{{labels}}}") == pytest.approx(
        judged(monitoring, shadow, refused_rate=0.05)["evidence"]["abort"], rel=1e-3
    )


@pytest.mark.requirement("MONITORING-034")
async def test_a_shadow_that_answers_alike_may_be_promoted_after_a_restart_too(
    start_monitoring: Any, compared: Compared, shadow: str
) -> None:
    monitoring = start_monitoring()
    repeated = compared(labels_differ=True)
    await record(monitoring, *(repeated for _ in range(20)), *(compared() for _ in range(20)))
    promote = judged(monitoring, shadow)
    assert (promote["verdict"], promote["disagreements"]["successes"]) == ("promote", 1), "what is repeated counts once"
    monitoring.process.kill()
    monitoring.process.restart()
    assert judged(monitoring, shadow) == promote


@pytest.mark.requirement("MONITORING-034")
async def test_comparisons_from_before_a_moment_or_the_limit_of_age_do_not_count(
    start_monitoring: Any, compared: Compared, shadow: str, until: Any
) -> None:
    monitoring = start_monitoring(retention_interval=0.05, keep_days=1)
    await record(monitoring, compared(ago=0.5 * DAY), compared(ago=1.5 * DAY), compared())
    await until(lambda: judged(monitoring, shadow)["disagreements"]["trials"] == 2)
    (_, probabilities) = judged(monitoring, shadow)["tensors"]
    assert probabilities["compared"] == 2
    with closing(sqlite3.connect(monitoring.database)) as connection:
        assert connection.execute("SELECT count(*) FROM compared_tensors").fetchone() == (4,), "tensors go with theirs"
    since = compared(ago=60).compared_at.ToJsonString()
    assert judged(monitoring, shadow, since=since)["disagreements"]["trials"] == 1


@pytest.mark.requirement("MONITORING-003")
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("comparison_id", {"comparison_id": "17"}),
        ("compared_at", {"compared_at": None}),
        ("stable.name", {"stable": ModelRef(digest=OLD)}),
        ("shadow", {"shadow": ModelRef(name="digits", digest=OLD)}),
        ("shadow", {"shadow": None}),
        ("tensors", {"tensors": [tensor("label"), tensor("label")]}),
        ("tensors", {"tensors": [tensor("")]}),
        ("tensors", {"tensors": [tensor("label", largest_difference=math.nan)]}),
    ],
)
async def test_a_comparison_that_makes_no_sense_is_refused_with_its_whole_batch(
    monitoring: Any, compared: Compared, shadow: str, field: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await record(monitoring, compared(), compared(**fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"comparisons[1].{field} ")
    assert judged(monitoring, shadow)["disagreements"]["trials"] == 0


@pytest.mark.requirement("MONITORING-030")
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"canary": "colours/blue"}, "canary"),
        ({"by": "arm"}, "by"),
        ({"tolerated_rate": "0"}, "tolerated_rate"),
        ({"refused_rate": "0.001"}, "refused_rate"),
        ({"tolerated_drop": "0.1"}, "tolerated_drop"),
    ],
)
async def test_a_wrong_question_about_a_shadow_is_answered_with_what_is_allowed(
    monitoring: Any, shadow: str, changed: dict[str, str], field: str
) -> None:
    query = urlencode({"stable": OLD, "canary": shadow, **changed})
    status, _, problem = monitoring.page(f"/v1/judgements/disagreement?{query}")
    assert (status, [each["field"] for each in problem["violations"]]) == (400, [field])
