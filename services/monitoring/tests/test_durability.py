"""What was acknowledged is there after any end of the process; what cannot be stored is refused, not lost."""

import asyncio
import itertools
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

pytestmark = pytest.mark.component

MIB = 1024 * 1024


@pytest.mark.requirement("MONITORING-006")
async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(start_monitoring: Any, made: Any) -> None:
    """Killed five times, each time while batches are under way."""
    monitoring = start_monitoring(commit_interval=0.01)
    acknowledged: set[str] = set()
    for enough in (1, 4, 9, 16, 25):
        reached = asyncio.Event()
        sending = asyncio.create_task(send_until_it_dies(monitoring, made, acknowledged, enough, reached))
        await reached.wait()
        monitoring.process.kill()
        await sending
        monitoring.process.restart()
        assert acknowledged <= await monitoring.ids()
    assert len(acknowledged) >= 3 * (1 + 4 + 9 + 16 + 25)


async def send_until_it_dies(
    monitoring: Any, made: Any, acknowledged: set[str], enough: int, reached: asyncio.Event
) -> None:
    async with monitoring.recording() as recording:
        for number in itertools.count(1):
            batch = [made() for _ in range(3)]
            try:
                await recording.send(*batch)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return
            acknowledged.update(each.prediction_id for each in batch)
            if number == enough:
                reached.set()


@pytest.mark.requirement("MONITORING-006")
async def test_feedback_answered_before_a_kill_is_there_after_it(
    start_monitoring: Any, made: Any, feedback: Any
) -> None:
    monitoring = start_monitoring()
    prediction = made()
    await monitoring.give(feedback(prediction.prediction_id, "1"))
    monitoring.process.kill()
    monitoring.process.restart()
    await monitoring.record(prediction)
    (listed,) = await monitoring.listed(mistakes_only=True)
    assert listed.feedback.label == "1"


@pytest.mark.requirement("MONITORING-007")
async def test_a_stream_is_told_to_come_again_when_the_service_drains_and_the_exit_is_clean(
    start_monitoring: Any, made: Any
) -> None:
    """One stream idles, the other has a batch under way that waits for company in its commit."""
    monitoring = start_monitoring(commit_interval=1)
    under_way = made()
    async with monitoring.recording() as idle, monitoring.recording() as busy:
        await idle.send(made())
        sending = asyncio.create_task(busy.send(under_way))
        await busy.call.wait_for_connection()
        monitoring.process.terminate()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await idle.call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        outcome: Any = (await asyncio.gather(sending, return_exceptions=True))[0]
    if outcome is not None:  # it came in after draining had begun
        assert isinstance(outcome, grpc.aio.AioRpcError)
        assert outcome.code() is grpc.StatusCode.UNAVAILABLE
    assert await asyncio.to_thread(monitoring.process.wait_ended, 30) == 0
    monitoring.process.restart()
    assert (outcome is None) <= (under_way.prediction_id in await monitoring.ids())


@pytest.mark.requirement("MONITORING-013")
async def test_a_full_disk_refuses_records_and_readiness_until_there_is_space_again(
    start_monitoring: Any, made: Any, feedback: Any, until: Any
) -> None:
    monitoring = start_monitoring(commit_interval=0)
    before = made()
    await monitoring.record(before)
    limit_file_size(monitoring.process.pid, file_size(monitoring) + MIB)

    stored, refusal = {before.prediction_id}, None
    while refusal is None:
        batch = [made() for _ in range(200)]
        try:
            await monitoring.record(*batch)
            stored |= {each.prediction_id for each in batch}
        except grpc.aio.AioRpcError as error:
            refusal = error
    assert refusal.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await monitoring.give(feedback(before.prediction_id, "1"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert monitoring.metric("monitoring_storage_failing") == 1
    assert monitoring.metric('monitoring_records_refused_total{reason="unavailable"}') == 2
    await until(lambda: monitoring.ready()[0] == 503)
    assert "database" in monitoring.ready()[1]["failures"]
    _, _, overview = monitoring.page("/api/overview")
    assert overview["storage"]["failure"], "what was stored can still be read, and the page says what is wrong"

    limit_file_size(monitoring.process.pid, resource.RLIM_INFINITY)
    await until(lambda: monitoring.ready()[0] == 200)
    after = made()
    await monitoring.record(after)
    stored |= {after.prediction_id}
    assert await count(monitoring) == len(stored)
    assert monitoring.metric("monitoring_storage_failing") == 0


@pytest.mark.requirement("MONITORING-014")
async def test_a_database_found_corrupt_is_kept_aside_and_a_new_one_begun(
    start_monitoring: Any, made: Any, until: Any
) -> None:
    monitoring = start_monitoring(commit_interval=0)
    await monitoring.record(*[made() for _ in range(1000)])
    monitoring.process.stop()
    scramble(monitoring.database)
    monitoring.process.restart()

    for ago in range(20):  # until a record meets a broken page, if the start has not met one
        outcome: Any = (await asyncio.gather(monitoring.record(made(ago=ago)), return_exceptions=True))[0]
        if outcome is not None:
            assert outcome.code() is grpc.StatusCode.UNAVAILABLE
            await until(lambda: monitoring.ready()[0] == 200)
    await monitoring.record(made())
    (kept,) = [each for each in monitoring.database.parent.iterdir() if each.name.endswith("Z")]
    assert kept.stat().st_size > 300_000
    assert '"database.moved_aside"' in monitoring.process.tail(50)
    _, _, overview = monitoring.page("/api/overview")
    assert overview["storage"]["moved_aside"] == [kept.name]


@pytest.mark.requirement("MONITORING-014")
@pytest.mark.parametrize("content", ["not a database", "a later schema"])
async def test_a_file_that_is_not_ours_is_left_alone_and_ends_the_start(start_monitoring: Any, content: str) -> None:
    monitoring = start_monitoring()
    monitoring.process.stop()
    for part in monitoring.database.parent.iterdir():
        part.unlink()
    if content == "not a database":
        monitoring.database.write_text("dear diary")
    else:
        with closing(sqlite3.connect(monitoring.database)) as connection:
            connection.execute("PRAGMA user_version = 99")
    found = monitoring.database.read_bytes()

    monitoring.process.start()
    assert await asyncio.to_thread(monitoring.process.wait_ended, 60) == 1
    assert "process.start_failed" in monitoring.process.tail()
    assert "MONITORING_DATABASE" in monitoring.process.tail()
    assert monitoring.database.read_bytes() == found


def limit_file_size(pid: int, limit: int) -> None:
    """Let every write beyond `limit` bytes of a file fail, as on a full disk; other processes are not touched."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))


def file_size(monitoring: Any) -> int:
    sizes: list[int] = [part.stat().st_size for part in monitoring.database.parent.iterdir()]
    return max(sizes)


async def count(monitoring: Any) -> int:
    (quality,) = await monitoring.quality()
    return int(quality.predictions)


def scramble(database: Path) -> None:
    """Overwrite everything after the first pages, where the schema lies."""
    with database.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(16 * 4096)
        file.write(b"\xa5" * (size - 16 * 4096))
