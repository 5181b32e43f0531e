"""The README's own commands, run as they are printed there."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from local_stack.services import SERVICES
from local_stack.settings import ROOT
from local_stack.stack import Stack

BLOCK = re.compile(r"<!-- run(?:: (?P<tool>\w+))? -->\n```sh\n(?P<script>.*?)```", re.DOTALL)


def script(tool: str) -> str:
    blocks = [
        found["script"] for found in BLOCK.finditer((ROOT / "README.md").read_text()) if (found["tool"] or "") == tool
    ]
    assert blocks, "the README has lost its commands"
    return "\n".join(blocks)


def run(text: str, stack: Stack, *, path: str = "") -> str:
    """Run the lines with this stack's ports in place of the documented ones."""
    for spec in SERVICES:
        for purpose, documented in spec.ports.items():
            text = text.replace(f"localhost:{documented}", f"127.0.0.1:{stack.ports[spec.name][purpose]}")
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}  # noqa: TID251
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.requirement("REPO-003")
def test_the_curl_commands_answer(stack: Stack) -> None:
    printed = run(script(""), stack)
    assert '"label":"7"' in printed
    assert '"model_name":"digits"' in printed
    assert '"status": "ready"' in printed


@pytest.mark.timeout(600)  # where Go has to build grpcurl first
@pytest.mark.requirement("REPO-003")
def test_the_grpcurl_commands_answer(stack: Stack, grpcurl: Path, tmp_path: Path) -> None:
    # The one that is kept bears its version in its name.
    (tmp_path / "grpcurl").symlink_to(grpcurl)
    printed = run(script("grpcurl"), stack, path=str(tmp_path))
    assert "fairlead.gateway.v1.PredictionService" in printed
    assert '"label": "7"' in printed


@pytest.mark.requirement("REPO-003")
def test_the_commands_that_need_a_cluster_are_steps_of_ci() -> None:
    steps = re.findall(r"^ *step (.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    documented = script("cluster").splitlines()
    assert documented in [steps[start : start + len(documented)] for start in range(len(steps))]


@pytest.mark.requirement("REPO-003")
def test_every_make_command_in_the_documents_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    documents = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("services/*/README.md"),
    ]
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in documents
        for name in re.findall(r"(?:`|^|=\d+ )make ([a-z0-9-]+)", path.read_text(), re.MULTILINE)
    }
    assert {(path, name) for path, name in named if name not in targets} == set()
