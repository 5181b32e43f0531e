"""What Argo CD thinks of an object, by the rules of ours that it evaluates, on states that were seen on a cluster."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from local_stack.settings import ROOT
from lupa import lua51

pytestmark = pytest.mark.requirement("MANIFESTS-010")

Judge = Callable[..., str]

RULES = yaml.safe_load((ROOT / "platform/addons/argocd/patch-argocd-cm.yaml").read_text())["data"]
ABLE = {"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale", "message": "got the scale"}


@pytest.fixture
def judge() -> Judge:
    """Evaluate the rule for a kind as Argo CD does, in Lua 5.1: it reads `obj` and returns the answer."""

    def health(kind: str, status: Mapping[str, Any], **others: Any) -> str:
        lua = lua51.LuaRuntime(unpack_returned_tuples=True)
        rule: Any = lua.eval(f"function(obj)\n{RULES[f'resource.customizations.health.{kind}']}\nend")
        return str(rule(lua.table_from({**others, **({"status": status} if status else {})}, recursive=True))["status"])

    return health


def inactive(reason: str) -> dict[str, str]:
    return {"type": "ScalingActive", "status": "False", "reason": reason, "message": "no metrics yet"}


@pytest.mark.parametrize(
    ("conditions", "health"),
    [
        ([], "Progressing"),
        ([ABLE, inactive("FailedGetResourceMetric")], "Healthy"),
        ([ABLE, {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}], "Healthy"),
        ([ABLE, {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange"}], "Healthy"),
        ([ABLE, inactive("ScalingDisabled")], "Healthy"),
        ([ABLE, inactive("InvalidSelector")], "Degraded"),
        ([{**ABLE, "status": "False", "reason": "FailedGetScale"}], "Degraded"),
    ],
)
def test_an_autoscaler_without_metrics_is_healthy_and_one_that_cannot_scale_is_degraded(
    judge: Judge, conditions: list[dict[str, str]], health: str
) -> None:
    status = {"conditions": conditions} if conditions else {}
    assert judge("autoscaling_HorizontalPodAutoscaler", status) == health


@pytest.mark.parametrize(
    ("applications", "health"),
    [
        ([], "Progressing"),
        ([("Synced", "Healthy"), ("Synced", "Healthy")], "Healthy"),
        ([("Synced", "Healthy"), ("Synced", "Progressing")], "Progressing"),
        ([("OutOfSync", "Healthy")], "Progressing"),
        ([("OutOfSync", "Missing")], "Progressing"),
        ([("Synced", "Degraded")], "Progressing"),
        ([(None, None)], "Progressing"),
    ],
)
def test_a_wave_is_healthy_once_every_application_it_made_is_synced_and_healthy(
    judge: Judge, applications: list[tuple[str | None, str | None]], health: str
) -> None:
    resources = [
        {"name": "gateway"} | ({"status": sync, "health": {"status": state}} if sync else {})
        for sync, state in applications
    ]
    made = {"type": "ResourcesUpToDate", "status": "True", "message": "all up to date"}
    assert judge("argoproj.io_ApplicationSet", {"conditions": [made], "resources": resources}) == health


def test_an_applicationset_that_cannot_generate_is_degraded_and_a_new_one_is_waited_for(judge: Judge) -> None:
    failed = {"type": "ErrorOccurred", "status": "True", "message": "map has no entry for key wave"}
    assert judge("argoproj.io_ApplicationSet", {"conditions": [failed]}) == "Degraded"
    assert judge("argoproj.io_ApplicationSet", {}) == "Progressing"


@pytest.mark.parametrize("health", ["Healthy", "Degraded", "Progressing", "Missing"])
def test_an_application_counts_for_its_parent_as_what_it_says(judge: Judge, health: str) -> None:
    assert judge("argoproj.io_Application", {"health": {"status": health}}) == health
    assert judge("argoproj.io_Application", {}) == "Progressing"


@pytest.mark.parametrize(
    ("conditions", "health"),
    [
        ([], "Healthy"),
        ([("NamesAccepted", "True"), ("Established", "False")], "Healthy"),
        ([("NamesAccepted", "True"), ("Established", "True")], "Healthy"),
        ([("NamesAccepted", "False"), ("Established", "False")], "Degraded"),
    ],
)
def test_a_definition_that_is_not_served_yet_does_not_fail_what_made_it(
    judge: Judge, conditions: list[tuple[str, str]], health: str
) -> None:
    status = {"conditions": [{"type": each, "status": holds, "message": "as seen"} for each, holds in conditions]}
    assert judge("apiextensions.k8s.io_CustomResourceDefinition", status if conditions else {}) == health


TREATMENT = {"name": "treatment", "match": [{"headerName": "x-experiment-arm", "headerValue": {"exact": "treatment"}}]}
STEPS = [
    {"setCanaryScale": {"replicas": 1}},
    {"setHeaderRoute": TREATMENT},
    {"pause": {}},
    {"setWeight": 25},
    {"pause": {"duration": "10s"}},
]


def paused_at(step: int, reason: str = "CanaryPauseStep") -> dict[str, Any]:
    return {"phase": "Paused", "currentStepIndex": step, "message": reason, "pauseConditions": [{"reason": reason}]}


@pytest.mark.requirement("ROLLOUT-004")
@pytest.mark.parametrize(
    ("status", "health"),
    [
        ({}, "Progressing"),
        ({"phase": "Healthy"}, "Healthy"),
        ({"phase": "Progressing"}, "Progressing"),
        ({"phase": "Degraded", "message": "RolloutAborted: worse"}, "Degraded"),
        (paused_at(2), "Healthy"),
        (paused_at(4), "Suspended"),
        (paused_at(2, "InconclusiveAnalysisRun"), "Suspended"),
        ({**paused_at(2), "observedGeneration": "6"}, "Progressing"),
        ({**paused_at(2), "workloadObservedGeneration": "2"}, "Progressing"),
    ],
)
def test_a_canary_that_git_holds_is_healthy_and_any_other_pause_is_waited_for(
    judge: Judge, status: dict[str, Any], health: str
) -> None:
    seen = {"observedGeneration": "7", "workloadObservedGeneration": "3"}
    rollout = {
        "metadata": {"generation": 7, "annotations": {"rollout.argoproj.io/workload-generation": "3"}},
        "spec": {"workloadRef": {"name": "inference"}, "strategy": {"canary": {"steps": STEPS}}},
    }
    assert judge("argoproj.io_Rollout", {**seen, **status} if status else {}, **rollout) == health


@pytest.mark.requirement("ROLLOUT-004")
def test_a_canary_that_a_person_pauses_is_waited_for_also_where_git_holds_it(judge: Judge) -> None:
    spec = {"paused": True, "strategy": {"canary": {"steps": STEPS}}}
    status = {"observedGeneration": "7", **paused_at(2)}
    assert judge("argoproj.io_Rollout", status, metadata={"generation": 7}, spec=spec) == "Suspended"
