"""One sandbox at a time, and never two commands on it."""

import json
from pathlib import Path

import pytest
from sandbox.problem import Problem
from sandbox.state import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state", tmp_path / "lock")


@pytest.mark.requirement("SANDBOX-005")
def test_a_second_command_is_told_who_works_on_the_sandbox(state: State) -> None:
    with state.held(), pytest.raises(Problem, match=r"Another command works on the sandbox: pid \d+"), state.held():
        pass
    with state.held():
        pass


@pytest.mark.requirement("SANDBOX-005")
def test_a_sandbox_of_another_checkout_is_not_touched(state: State, tmp_path: Path) -> None:
    state.claim("source")
    other = tmp_path / "other"
    other.mkdir()
    (state.folder / "owner.json").write_text(json.dumps({"checkout": str(other), "provider": "source"}))
    with pytest.raises(Problem, match=rf"(?s)of {other}\..*make -C {other} cluster-down"):
        state.claim("source")
    with pytest.raises(Problem, match="Another sandbox runs"):
        state.refuse_strangers()


def test_the_sandbox_of_a_checkout_that_is_gone_can_be_taken_over(state: State, tmp_path: Path) -> None:
    state.claim("source")
    (state.folder / "owner.json").write_text(json.dumps({"checkout": str(tmp_path / "gone"), "provider": "source"}))
    state.claim("source")
    state.refuse_strangers()


@pytest.mark.requirement("SANDBOX-003")
def test_what_was_reached_is_known_to_the_next_command(state: State) -> None:
    state.claim("source")
    state.initialised("0a1b2c")
    state.claim("source")
    assert State(state.folder, state.lock).initialised_with() == "0a1b2c"
    state.remove()
    assert state.initialised_with() == ""
    assert state.owner() is None
