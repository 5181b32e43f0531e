"""A database that an earlier release wrote is taken over with everything in it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from fairlead.events.v1.events_pb2 import ModelRef
from google.protobuf.timestamp_pb2 import Timestamp

pytestmark = pytest.mark.component

# Three answers of the old digest (two labelled, right) and three of the new one (two labelled, the second one wrong).
DUMP = Path(__file__).with_name("schema-1.sql")
OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
BEGAN = Timestamp(seconds=1_795_000_000)
A_CENTURY = 36_500


@pytest.fixture
def upgraded(start_monitoring: Any, tmp_path: Path) -> Any:
    """The service on a file that schema 1 wrote."""
    database = tmp_path / "predictions.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(DUMP.read_text())
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    monitoring = start_monitoring(
        commit_interval=0, database=database, keep_days=A_CENTURY, keep_orphans_days=A_CENTURY
    )
    monitoring.model = "digits"
    return monitoring


@pytest.mark.requirement("MONITORING-031")
async def test_predictions_feedback_and_quality_survive_an_upgrade(upgraded: Any) -> None:
    listed = await upgraded.listed()
    assert len(listed) == 6
    newest, oldest = listed[0].prediction, listed[-1].prediction
    assert newest.model == ModelRef(name="digits", version="3", digest=NEW)
    assert (oldest.made_at, oldest.revision, oldest.experiment, oldest.arm) == (BEGAN, "", "", "")
    assert list(oldest.features) == [0, 8, 16, 4.5]
    assert [each.feedback.label for each in listed if each.HasField("feedback")] == ["7", "1", "7", "7"]
    newer, older = await upgraded.quality()
    assert (newer.model.digest, newer.predictions, newer.accuracy.successes, newer.accuracy.trials) == (NEW, 3, 1, 2)
    assert (older.model.digest, older.predictions, older.accuracy.successes, older.accuracy.trials) == (OLD, 3, 2, 2)


@pytest.mark.requirement("MONITORING-031")
async def test_what_was_labelled_before_an_upgrade_can_be_judged_after_it(upgraded: Any) -> None:
    _, _, judged = upgraded.page(f"/v1/judgements/accuracy?{urlencode({'stable': OLD, 'canary': NEW})}")
    assert (judged["canary"]["successes"], judged["canary"]["trials"], judged["stable"]["trials"]) == (1, 2, 0)
    query = urlencode({"stable": OLD, "canary": NEW, "since": BEGAN.ToJsonString()})
    _, _, judged = upgraded.page(f"/v1/judgements/accuracy?{query}")
    assert [(judged[side]["successes"], judged[side]["trials"]) for side in ("stable", "canary")] == [(2, 2), (1, 2)]


@pytest.mark.requirement("MONITORING-031")
async def test_an_upgraded_database_goes_on_with_new_records(upgraded: Any, made: Any, feedback: Any) -> None:
    waited_for = "0190a1b2-c3d4-7e5f-8a6b-0c1d2e3f4a5b"
    model = ModelRef(name="digits", version="2", digest=NEW)
    fields = {"revision": "1f2e3d", "experiment": "colours", "arm": "blue"}
    await upgraded.record(made(prediction_id=waited_for, model=model, **fields))
    (newest, *_) = await upgraded.listed()
    assert (newest.prediction.revision, newest.prediction.arm, newest.feedback.label) == ("1f2e3d", "blue", "3")
    assert len(await upgraded.listed()) == 7
    _, _, overview = upgraded.page("/api/overview?model=digits&window=1h")
    assert [(each["value"], each["predictions"]) for each in overview["splits"]["arm"]] == [("colours/blue", 1)]
    assert upgraded.process.stop() == 0
    upgraded.process.restart()
    assert len(await upgraded.listed()) == 7
