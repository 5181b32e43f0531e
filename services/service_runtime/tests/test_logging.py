"""What a service writes to its standard output."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

StartSample = Callable[..., Any]


def test_every_line_is_json_with_event_level_time_and_service(start_sample: StartSample) -> None:
    sample = start_sample()
    sample.wait_for("process.started")
    lines = sample.lines()
    assert lines
    for line in lines:
        assert {"event", "level", "timestamp", "service"} <= set(line)
        assert line["service"] == "sample"
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None


def test_a_level_below_the_setting_is_not_written(start_sample: StartSample) -> None:
    sample = start_sample(log_level="error", fails_at_once="true")
    assert sample.process.wait(30) == 1
    assert sample.events() == ["process.failed"]


def test_console_format_is_for_people(start_sample: StartSample) -> None:
    sample = start_sample(log_format="console", fails_at_once="true")
    assert sample.process.wait(30) == 1
    assert sample.lines() == []
