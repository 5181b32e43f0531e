"""The lock that says whether a stack runs."""

import os
from pathlib import Path

import pytest
from local_stack.run_folder import AlreadyRunning, RunFolder


@pytest.mark.requirement("STACK-006")
def test_a_second_stack_in_one_checkout_is_told_where_the_first_is(tmp_path: Path) -> None:
    with RunFolder(tmp_path).held():
        RunFolder(tmp_path).announce(url="http://127.0.0.1:8080")
        with pytest.raises(AlreadyRunning, match=r"8080\)\. Stop it with: make down"), RunFolder(tmp_path).held():
            pass


def test_the_state_is_there_only_while_the_stack_runs(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.held():
        assert folder.state() == {"pid": os.getpid()}
    assert folder.state() == {}
    assert not folder.is_held()


def test_a_state_file_that_a_crash_left_means_nothing(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"pid": 1}')
    (tmp_path / "lock").touch()
    assert RunFolder(tmp_path).state() == {}
    assert RunFolder(tmp_path).stop_holder(timeout=1)
