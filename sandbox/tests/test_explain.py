"""A failure says what a person can do."""

import errno

import pytest
from sandbox.commands import CommandFailed
from sandbox.explain import explained
from sandbox.problem import Problem


@pytest.mark.requirement("SANDBOX-005")
@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("write /tmp/x.o: no space left on device", "The disk is full"),
        ("dial tcp 192.0.2.1:443: i/o timeout", "cannot be reached"),
        ("E: Failed to fetch Packages  Temporary failure resolving 'mirror'", "cannot be reached"),
        ("compile: signal: killed", "out of memory"),
        ("example.org/m@v1: 403 Forbidden: This module version is not available", "another GOPROXY"),
        ("undefined: x", "make doctor"),
    ],
)
def test_the_output_of_a_failed_program_leads_to_a_remedy(output: str, remedy: str) -> None:
    problem = explained(CommandFailed(["go", "build"], 1, output))
    assert remedy in problem.remedy
    assert output in str(problem)


@pytest.mark.requirement("SANDBOX-005")
def test_a_full_disk_is_named_when_our_own_write_meets_it() -> None:
    assert "disk is full" in explained(OSError(errno.ENOSPC, "No space left on device")).remedy


def test_a_problem_that_knows_its_remedy_keeps_it() -> None:
    problem = Problem("connection refused", "Start it.")
    assert explained(problem) is problem
