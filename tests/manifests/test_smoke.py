"""The smoke test itself, run as its Job runs it, against the real chain."""

import subprocess
import sys

import pytest
from local_stack.settings import ROOT
from local_stack.stack import Stack

SCRIPT = ROOT / "services" / "gateway" / "deploy" / "components" / "smoke" / "smoke.py"


def smoke(gateway: str, expected: str) -> subprocess.CompletedProcess[str]:
    # Isolated: the Job has the standard library and nothing of ours on its path.
    command = [sys.executable, "-I", str(SCRIPT), gateway, "digits", expected]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.requirement("MANIFESTS-008")
def test_smoke_succeeds_on_the_expected_label_and_names_the_model(stack: Stack) -> None:
    done = smoke(stack.http_url, "7")
    assert done.returncode == 0, done.stderr
    assert "digits sha256:" in done.stdout


@pytest.mark.requirement("MANIFESTS-008")
def test_smoke_fails_on_another_label(stack: Stack) -> None:
    done = smoke(stack.http_url, "3")
    assert done.returncode == 1
    assert "read '7', expected '3'" in done.stdout
