"""What runs on GitHub: workflows that are well formed, and no code of strangers with a token that may write."""

import json
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from local_stack.settings import StackSettings

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
COMMIT = "1" * 40


def run(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Any:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def triggers(workflow: Mapping[Any, Any]) -> set[str]:
    told = workflow[True]  # YAML 1.1 reads "on" so
    return {told} if isinstance(told, str) else set(told)


def steps(workflow: Mapping[Any, Any]) -> list[Mapping[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.requirement("PROMOTION-008")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_runs_the_code_of_a_pull_request_can_only_read(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert "pull_request_target" not in triggers(workflow)
    assert workflow["permissions"] == {}
    if "pull_request" in triggers(workflow):
        granted = {name: job.get("permissions", {}) for name, job in workflow["jobs"].items()}
        assert set(map(str, granted.values())) <= {"{'contents': 'read'}", "{}"}
        assert "secrets." not in path.read_text()
        assert "github.token" not in path.read_text()


@pytest.mark.requirement("PROMOTION-008")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_may_write_checks_out_main_and_hands_no_expression_to_a_shell(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    for step in steps(workflow):
        assert "${{" not in step.get("run", ""), step
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
            if "workflow_run" in triggers(workflow):
                assert step["with"]["ref"] == "${{ github.event.repository.default_branch }}"


@pytest.mark.requirement("PROMOTION-008")
@pytest.mark.usefixtures("kustomize")
@pytest.mark.timeout(600)
def test_a_workflow_with_a_mistake_is_refused(tmp_path: Path) -> None:
    good = WORKFLOWS[0].read_text()
    bad = tmp_path / "bad.yaml"
    bad.write_text(good.replace("runs-on:", "run-on:"))
    assert run("delivery.workflows", *WORKFLOWS).returncode == 0
    done = run("delivery.workflows", bad)
    assert done.returncode == 1
    assert 'unexpected key "run-on"' in done.stdout


GH = """#!/bin/sh
case "$1 $2" in
  "pr list") cat "$(dirname "$0")/list" ;;
  "pr comment") echo "$@" > "$(dirname "$0")/asked"; cat > "$(dirname "$0")/body" ;;
esac
"""


@pytest.fixture
def gh(tmp_path: Path) -> Path:
    """A folder with a gh that remembers what it was asked."""
    program = tmp_path / "gh"
    program.write_text(GH)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    listed = [{"number": 6, "headRefOid": "2" * 40}, {"number": 7, "headRefOid": COMMIT}]
    (tmp_path / "list").write_text(json.dumps(listed))
    return tmp_path


def comment(gh: Path, *files: Path, commit: str = COMMIT) -> Any:
    known = StackSettings.read().environment
    arguments = (*files, "--branch", "mine", "--commit", commit)
    return run("delivery.changes.comment", *arguments, environment={**known, "PATH": f"{gh}:{known['PATH']}"})


@pytest.mark.requirement("PROMOTION-008")
def test_a_comment_quotes_what_the_pull_request_wrote_and_nothing_in_it_can_end_the_quote(gh: Path) -> None:
    gate, difference = gh / "gate.txt", gh / "difference.txt"
    gate.write_text("The gate is open.\n")
    difference.write_bytes(b"+ a\n```\n@everyone \x1b[31mlook\n````\n\xff\n" + b"+ long\n" * 20_000)
    done = comment(gh, gate, difference)
    assert done.returncode == 0, done.stderr
    assert (gh / "asked").read_text().startswith("pr comment 7 ")
    body = (gh / "body").read_text()
    assert len(body) < 65_536
    opening, closing = (number for number, line in enumerate(body.splitlines()) if line.startswith("`````"))
    quoted = body.splitlines()[opening + 1 : closing]
    assert quoted[:3] == ["The gate is open.", "", "+ a"]
    assert "@everyone [31mlook" in quoted
    assert "more lines" in body.splitlines()[closing + 2]


@pytest.mark.requirement("PROMOTION-008")
def test_a_commit_that_is_no_pull_requests_last_gets_no_comment(gh: Path) -> None:
    (gh / "gate.txt").write_text("text")
    done = comment(gh, gh / "gate.txt", commit="3" * 40)
    assert done.returncode == 1
    assert "No open pull request ends with" in done.stderr
    assert not (gh / "asked").exists()
