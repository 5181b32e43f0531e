"""A person sees what happens and how long it takes."""

import io

import pytest
from local_stack.eventually import eventually
from sandbox.progress import Progress, in_words


@pytest.mark.requirement("SANDBOX-002")
def test_a_long_step_is_shown_while_it_runs_with_its_detail_and_time() -> None:
    stream = io.StringIO()
    with Progress(stream, every_s=0.01).step("building kubelet") as step:
        step.detail = "12 packages"
        eventually(lambda: "...    building kubelet  12 packages  0." in stream.getvalue())
    assert "ok     building kubelet  12 packages  0." in stream.getvalue().splitlines()[-1]


def test_a_step_that_fails_says_so() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Progress(stream).step("building kubelet"):
        raise ValueError("broken")
    assert stream.getvalue().startswith("  FAILED building kubelet")


def test_durations_read_as_a_person_says_them() -> None:
    assert [in_words(seconds) for seconds in (0.44, 12.3, 185)] == ["0.4 s", "12 s", "3 min 05 s"]
