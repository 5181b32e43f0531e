"""The database keeps within its limits by itself."""

import time
from typing import Any

import pytest

pytestmark = pytest.mark.component

DAY = 86_400
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64


@pytest.mark.requirement("MONITORING-016")
async def test_predictions_older_than_the_limit_go_with_their_feedback(
    start_monitoring: Any, made: Any, feedback: Any, until: Any
) -> None:
    monitoring = start_monitoring(commit_interval=0, retention_interval=0.05, keep_days=1)
    old, recent = made(ago=1.5 * DAY), made(ago=0.5 * DAY)
    await monitoring.give(feedback(old.prediction_id, "1"))
    await monitoring.record(old, recent)
    await until(lambda: monitoring.metric("monitoring_predictions_trimmed_total") == 1)
    assert await monitoring.ids() == {recent.prediction_id}
    assert await monitoring.give(feedback(old.prediction_id, "2", at=time.time() - DAY)) is False
    await monitoring.record(made(ago=0.5 * DAY, prediction_id=old.prediction_id))  # one that stays
    (listed,) = await monitoring.listed(mistakes_only=True)
    assert listed.feedback.label == "2", "the first feedback, given later, went with its prediction"


@pytest.mark.requirement("MONITORING-016")
async def test_the_oldest_go_first_when_there_are_too_many(start_monitoring: Any, made: Any, until: Any) -> None:
    monitoring = start_monitoring(commit_interval=0, retention_interval=0.05, max_rows=700)
    sent = [made(ago=3600 - number) for number in range(1500)]
    for start in range(0, len(sent), 500):
        await monitoring.record(*sent[start : start + 500])
    await until(lambda: monitoring.metric("monitoring_predictions_trimmed_total") == 800)
    assert monitoring.metric("monitoring_database_predictions") == 700
    (quality,) = await monitoring.quality()
    assert quality.predictions == 700
    assert await monitoring.listed(to=sent[800].made_at) == []


@pytest.mark.requirement("MONITORING-016")
async def test_the_file_shrinks_below_its_limit(start_monitoring: Any, made: Any, until: Any) -> None:
    mib = 1024 * 1024
    monitoring = start_monitoring(commit_interval=0, retention_interval=0.1, max_bytes=2 * mib)
    for _ in range(10):
        await monitoring.record(*[made() for _ in range(800)])
    await until(lambda: monitoring.metric("monitoring_predictions_trimmed_total") > 0)
    await until(lambda: 0 < monitoring.metric("monitoring_database_bytes") <= 2 * mib)
    (quality,) = await monitoring.quality()
    assert 2000 < quality.predictions < 6000
    assert monitoring.process.stop() == 0
    assert monitoring.database.stat().st_size <= 2.5 * mib, "freed pages were given back to the file system"


@pytest.mark.requirement("MONITORING-033")
async def test_a_judgement_keeps_its_beginning_when_the_predictions_are_gone_but_not_for_ever(
    start_monitoring: Any, made: Any, feedback: Any, until: Any
) -> None:
    monitoring = start_monitoring(commit_interval=0, retention_interval=0.05, max_rows=100, keep_days=1)
    for digest, ago in ((NEW, 7200), (OLD, 7100), (OLD, 1.5 * DAY)):
        prediction = made(digest=digest, ago=ago)
        await monitoring.give(feedback(prediction.prediction_id, "7"))
        await monitoring.record(prediction)
    await monitoring.record(*[made() for _ in range(300)])
    await until(lambda: monitoring.metric("monitoring_database_predictions") == 100)
    assert await monitoring.listed(to=made(ago=3600).made_at) == []
    path = f"/v1/judgements/accuracy?stable={OLD}&canary={NEW}&since={made(ago=2 * DAY).made_at.ToJsonString()}"

    def trials() -> tuple[int, int]:
        _, _, judged = monitoring.page(path)
        return judged["stable"]["trials"], judged["canary"]["trials"]

    await until(lambda: trials() == (1, 1))


@pytest.mark.requirement("MONITORING-033")
async def test_labels_for_judgements_are_bounded_as_predictions_are(
    start_monitoring: Any, made: Any, feedback: Any, until: Any
) -> None:
    monitoring = start_monitoring(commit_interval=0, retention_interval=0.05, max_rows=3)
    for prediction in [made(digest=NEW) for _ in range(8)]:
        await monitoring.give(feedback(prediction.prediction_id, "7"))
        await monitoring.record(prediction)
    path = f"/v1/judgements/accuracy?stable={OLD}&canary={NEW}"
    await until(lambda: monitoring.page(path)[2]["canary"]["trials"] == 3)


@pytest.mark.requirement("MONITORING-017")
async def test_feedback_without_a_prediction_is_forgotten_in_time(
    start_monitoring: Any, made: Any, feedback: Any, until: Any
) -> None:
    monitoring = start_monitoring(commit_interval=0, retention_interval=0.05, keep_orphans_days=1e-6)
    awaited, known = made(), made()
    await monitoring.record(known)
    assert await monitoring.give(feedback(known.prediction_id, "1")) is True
    assert await monitoring.give(feedback(awaited.prediction_id, "1")) is False
    await until(lambda: monitoring.metric("monitoring_orphans_trimmed_total") == 1)
    await monitoring.record(awaited)
    (listed,) = await monitoring.listed(mistakes_only=True)
    assert listed.prediction == known


@pytest.mark.requirement("MONITORING-021")
async def test_merging_old_minutes_changes_no_total(start_monitoring: Any, made: Any, until: Any) -> None:
    """Minutes older than a day merge into their hour; what arrives late for one of them merges again."""
    monitoring = start_monitoring(commit_interval=0, retention_interval=0.05)
    await monitoring.record(*[made(ago=3 * DAY + 60 * number) for number in range(300)], made())
    await until(lambda: monitoring.metric("monitoring_history_merged_total") > 0)
    await monitoring.record(*[made(ago=3 * DAY + 60 * number) for number in range(300)])
    _, _, overview = monitoring.page("/api/overview?window=7d")
    assert sum(count for _, count in overview["traffic"]) == 601
    assert overview["class_mix"] == [{"label": "7", "predictions": 601}]
    assert overview["latency"]["total"]["p50"] == pytest.approx(4.125, rel=0.1)
