"""The few settings of the sandbox."""

from pathlib import Path

import pytest
from sandbox.problem import Problem
from sandbox.settings import SandboxSettings

README = Path(__file__).resolve().parents[1] / "README.md"
FIELDS = {"SANDBOX_PROVIDER", "SANDBOX_STATE", "SANDBOX_CACHE", "SANDBOX_GIT_PORT"}


@pytest.mark.parametrize("value", ["eighty", "0", "70000", "-1"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SANDBOX_GIT_PORT", value)
    with pytest.raises(Problem, match="SANDBOX_GIT_PORT"):
        SandboxSettings.read()


def test_an_unknown_provider_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_PROVIDER", "minikube")
    with pytest.raises(Problem, match="source, kind"):
        SandboxSettings.read()


def test_kind_needs_no_folder_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_PROVIDER", "kind")
    assert Path.home() in SandboxSettings.read().state.parents


def test_the_readme_names_every_setting() -> None:
    text = README.read_text()
    assert {name for name in FIELDS if f"`{name}`" not in text} == set()
