"""Deadlines on the monotonic clock."""

import pytest
from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded


def test_a_deadline_says_how_much_is_left() -> None:
    deadline = Deadline.after(60)
    assert 59 < deadline.check("anything") <= deadline.remaining() + 1 <= 61


def test_a_passed_deadline_names_the_stage_that_would_have_missed_it() -> None:
    with pytest.raises(DeadlineExceeded, match="in stage 'inference'"):
        Deadline.after(-1).check("inference")
