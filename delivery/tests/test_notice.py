"""A notice only says where to look: what is aborted, and why, is what the cluster says."""

import json
from pathlib import Path

import pytest
from delivery.proposals.__main__ import await_aborted, service_of
from sandbox.kubectl import Kubectl
from sandbox.problem import Problem

RECORDED = Path(__file__).parent / "recorded" / "rollouts.json"


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    """A program that answers with what was recorded."""
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\ncat "{RECORDED}"\n')
    program.chmod(0o755)
    return Kubectl(program, tmp_path / "kubeconfig")


@pytest.mark.requirement("ROLLOUT-003")
def test_what_was_aborted_is_told_with_both_pods_and_the_measurements(kubectl: Kubectl) -> None:
    aborted = await_aborted(kubectl, "fairlead-local", "inference")
    images = [each["spec"]["containers"][0]["image"][-12:] for each in (aborted.canary, aborted.stable)]
    assert images == ["5e5e5e5e5e5e", "4d4d4d4d4d4d"]
    assert aborted.why.startswith("- accuracy failed: undecided, undecided, worse")


@pytest.mark.requirement("ROLLOUT-003")
@pytest.mark.parametrize("service", ["gateway", "preprocessing", "none"])
def test_a_notice_of_what_the_cluster_does_not_call_aborted_comes_to_nothing(kubectl: Kubectl, service: str) -> None:
    with pytest.raises(Problem, match=f"does not say that a rollout {service} is aborted"):
        await_aborted(kubectl, "fairlead-local", service, within=0.0)


@pytest.mark.requirement("ROLLOUT-003")
def test_a_notice_names_a_rollout_of_this_environment_or_is_none() -> None:
    assert service_of(json.dumps({"namespace": "ours", "rollout": "gateway"}), "ours") == "gateway"
    for notice in ("", "[]", "{}", '{"namespace": "ours"}', '{"namespace": "theirs", "rollout": "gateway"}'):
        with pytest.raises(Problem, match="A notice came"):
            service_of(notice, "ours")
    with pytest.raises(Problem, match="A notice came"):
        service_of('{"namespace": "ours", "rollout": ["--all"]}', "ours")
