"""make rollouts: what the API server says, as a person reads it."""

import copy
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from delivery.rollouts.__main__ import verdict
from delivery.rollouts.read import Rollout, rollouts
from delivery.rollouts.screen import Screen
from delivery.rollouts.told import held as told_held
from delivery.rollouts.told import refused, under_way, unsettled
from delivery.rollouts.view import coloured, lines, summary
from sandbox.kubectl import Kubectl

RECORDED = json.loads((Path(__file__).parent / "recorded" / "rollouts.json").read_text())


@pytest.fixture
def items() -> list[dict[str, Any]]:
    return copy.deepcopy(RECORDED["items"])


def of(items: list[dict[str, Any]], service: str) -> Rollout:
    return next(each for each in rollouts(items) if each.service == service)


def item(items: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each for each in items if (each["kind"], each["metadata"]["name"]) == (kind, name))


@pytest.mark.requirement("ROLLOUT-001")
def test_a_canary_is_shown_with_its_step_its_weight_both_revisions_and_what_was_measured(
    items: list[dict[str, Any]],
) -> None:
    assert list(lines([of(items, "gateway")], {})) == [
        "gateway        canary     20 %  step 3 of 6: pause 20s",
        "  stable  66c7d8f5b   image 1b1b1b1b1b1b",
        "  canary  7c5d9f6b8   image 2c2c2c2c2c2c",
        "  analysis gateway-7c5d9f6b8-4: running",
        "    success-ratio       ...    0.9991 1 0.998  (3 good)",
        "    p99-against-stable  ...    nan 1.07  (1 good, 1 unsure)",
        "    slo                 ...      (not yet)",
    ]


@pytest.mark.requirement("ROLLOUT-001", "ROLLOUT-003")
def test_an_aborted_one_is_shown_with_the_metric_that_failed_the_reason_in_full_and_how_to_revert(
    items: list[dict[str, Any]],
) -> None:
    shown = list(lines([of(items, "inference")], {"inference": "revert/inference-0123456789ab"}))
    assert shown[:3] == [
        "inference      aborted     0 %",
        "  stable  77f6d5c88   image 4d4d4d4d4d4d, model 6f6f6f6f6f6f",
        "  canary  58d8c7b94   image 5e5e5e5e5e5e, model 707070707070",
    ]
    assert "    accuracy       BAD    undecided undecided worse  (1 bad, 2 unsure)" in shown
    text = " ".join(" ".join(shown).split())
    assert item(items, "Rollout", "inference")["status"]["message"] in text
    assert "77f6d5c88-1" not in text, "an analysis of an earlier revision says nothing about this one"
    assert shown[-1] == "    git push sandbox sandbox/revert/inference-0123456789ab:main"


@pytest.mark.requirement("ROLLOUT-001")
def test_one_at_rest_is_one_revision(items: list[dict[str, Any]]) -> None:
    assert list(lines([of(items, "preprocessing")], {})) == [
        "preprocessing  healthy",
        "  stable  6f9d5b7c4   image 3a3a3a3a3a3a",
    ]


@pytest.mark.requirement("ROLLOUT-001")
def test_the_weight_is_the_virtual_services_and_a_difference_to_what_rollouts_wants_is_said(
    items: list[dict[str, Any]],
) -> None:
    routes = item(items, "VirtualService", "gateway-weights")["spec"]["http"][0]["route"]
    routes[0]["weight"], routes[1]["weight"] = 95, 5
    shown = list(lines([of(items, "gateway")], {}))
    assert "canary      5 %" in shown[0]
    assert "  weight is 5 %, Argo Rollouts wants 20 %" in shown
    items.remove(item(items, "VirtualService", "gateway-weights"))
    assert of(items, "gateway").weight is None


@pytest.fixture
def with_a_treatment(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A step has led an arm to the gateway's canary; the next ones give it its weight."""
    canary = item(items, "Rollout", "gateway")["spec"]["strategy"]["canary"]
    match = [{"headerName": "x-experiment-arm", "headerValue": {"exact": "treatment"}}]
    canary["trafficRouting"]["managedRoutes"] = [{"name": "treatment"}]
    canary["steps"].insert(1, {"setHeaderRoute": {"name": "treatment", "match": match}})
    item(items, "Rollout", "gateway")["status"]["currentStepIndex"] = 3
    to_canary = {"destination": {"host": "gateway", "subset": "canary"}, "weight": 100}
    route = {"name": "treatment", "match": [{"headers": {"x-experiment-arm": {"exact": "treatment"}}}]}
    item(items, "VirtualService", "gateway-weights")["spec"]["http"].insert(0, {**route, "route": [to_canary]})
    return items


@pytest.mark.requirement("ROLLOUT-001")
def test_a_route_for_an_arm_is_a_step_and_no_weight(with_a_treatment: list[dict[str, Any]]) -> None:
    assert next(lines([of(with_a_treatment, "gateway")], {})).endswith("20 %  step 4 of 7: pause 20s")
    item(with_a_treatment, "Rollout", "gateway")["status"]["currentStepIndex"] = 1
    assert of(with_a_treatment, "gateway").step == "step 2 of 7: route treatment to the canary"


@pytest.mark.requirement("ROLLOUT-001")
def test_a_route_that_a_canary_lost_is_said_until_it_is_aborted(with_a_treatment: list[dict[str, Any]]) -> None:
    gone = "  route treatment is gone, stable answers: abort and retry set it again"
    assert gone not in list(lines([of(with_a_treatment, "gateway")], {}))
    del item(with_a_treatment, "VirtualService", "gateway-weights")["spec"]["http"][0]
    assert gone in list(lines([of(with_a_treatment, "gateway")], {}))
    item(with_a_treatment, "Rollout", "gateway")["status"]["abort"] = True
    assert gone not in list(lines([of(with_a_treatment, "gateway")], {}))


@pytest.mark.requirement("ROLLOUT-001")
def test_a_status_about_an_earlier_change_is_not_taken_for_this_one(items: list[dict[str, Any]]) -> None:
    item(items, "Rollout", "preprocessing")["metadata"]["generation"] = 5
    assert of(items, "preprocessing").phase == "not seen yet"
    assert of(items, "preprocessing").under_way


@pytest.mark.requirement("ROLLOUT-001")
def test_a_pause_that_is_no_step_is_a_pause(items: list[dict[str, Any]]) -> None:
    status = item(items, "Rollout", "gateway")["status"]
    status["pauseConditions"] = [{"reason": "InconclusiveAnalysisRun"}]
    assert of(items, "gateway").phase == "paused"


@pytest.fixture
def held_items(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The gateway's canary is at a pause without an end."""
    item(items, "Rollout", "gateway")["status"]["currentStepIndex"] = 5
    return items


@pytest.mark.requirement("ROLLOUT-004")
def test_a_canary_that_git_holds_is_at_its_end_and_shown_so(held_items: list[dict[str, Any]]) -> None:
    held = of(held_items, "gateway")
    assert (held.phase, held.under_way, held.well) == ("held", False, True)
    assert summary(held) == "gateway        held       20 %  step 6 of 6: pause until promoted"
    assert "CanaryPauseStep" not in "".join(lines([held], {}))
    assert verdict([of(held_items, "preprocessing"), held]) == 0


@pytest.mark.requirement("ROLLOUT-004")
def test_a_person_who_pauses_a_held_canary_or_a_change_that_it_has_not_seen_is_waited_for(
    held_items: list[dict[str, Any]],
) -> None:
    rollout = item(held_items, "Rollout", "gateway")
    rollout["spec"]["paused"] = True
    assert of(held_items, "gateway").under_way
    rollout["spec"]["paused"] = False
    rollout["metadata"]["generation"] = 5
    assert of(held_items, "gateway").phase == "not seen yet"


@pytest.mark.requirement("ROLLOUT-004")
def test_a_push_waits_for_no_held_canary_and_says_how_to_go_on(
    held_items: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "told.json").write_text(json.dumps({"items": held_items}))
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/told.json"\n')
    program.chmod(0o755)
    kubectl = Kubectl(program, tmp_path / "kubeconfig")
    assert unsettled(rollouts(held_items)) == []
    assert under_way(rollouts(held_items)) == []
    promote = "kubectl argo rollouts promote gateway --namespace=fairlead-local"
    assert told_held(kubectl, "fairlead-local") == [f"gateway: its canary is held at 20 %; on with it: {promote}"]


@pytest.mark.requirement("ROLLOUT-001")
def test_one_that_argo_rollouts_does_not_begin_with_is_told_with_its_reason(
    items: list[dict[str, Any]],
) -> None:
    assert refused(rollouts(items)) == []
    status = item(items, "Rollout", "gateway")["status"]
    status["phase"], status["message"] = "Degraded", "InvalidSpec: Argument `window` specified multiple times"
    assert refused(rollouts(items)) == [f"gateway: {status['message']}"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[0.25]", "0.25"),
        ("[]", "[]"),
        ("[NaN]", "nan"),
        ('{"a":1}', '{"a":1}'),
        ('"worse"', "worse"),
        ("true", "true"),
    ],
)
def test_measurements_are_read_whatever_provider_they_are_from(
    items: list[dict[str, Any]], value: str, said: str
) -> None:
    results = item(items, "AnalysisRun", "gateway-7c5d9f6b8-4")["status"]["metricResults"]
    results[0]["measurements"] = [{"phase": "Successful", "value": value}, {"phase": "Failed"}]
    assert of(items, "gateway").analyses[0].metrics[0].values == (said, "failed")


@pytest.mark.requirement("ROLLOUT-001")
def test_no_line_is_longer_than_the_terminal_is_wide(items: list[dict[str, Any]]) -> None:
    found = rollouts(items)
    assert max(map(len, lines(found, {}, width=80))) <= 80
    assert max(map(len, lines(found, {}, width=40))) == 40


@pytest.mark.requirement("ROLLOUT-002")
def test_the_verdict_is_bad_for_what_was_aborted_and_open_while_one_is_under_way(items: list[dict[str, Any]]) -> None:
    assert verdict(rollouts(items)) == 1
    assert verdict([of(items, "preprocessing"), of(items, "gateway")]) == 3
    assert verdict([of(items, "preprocessing")]) == 0


@pytest.mark.requirement("ROLLOUT-002")
def test_without_a_terminal_only_what_changed_is_said_and_nothing_is_coloured(items: list[dict[str, Any]]) -> None:
    stream = io.StringIO()
    with Screen(stream) as screen:
        for weight in (20, 20, 50):
            item(items, "VirtualService", "gateway-weights")["spec"]["http"][0]["route"][1]["weight"] = weight
            screen.show(["a picture"], [summary(of(items, "gateway"))])
    said = [line.partition("  ")[2] for line in stream.getvalue().splitlines()]
    assert said == [
        "gateway        canary     20 %  step 3 of 6: pause 20s",
        "gateway        canary     50 %  step 3 of 6: pause 20s",
    ]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_colours_for_what_is_bad_and_for_nothing_inside_messages() -> None:
    assert "\x1b[31mBAD\x1b[0m" in coloured("    accuracy  BAD    0.5")
    assert coloured("  > BADLY named") == "  > BADLY named"
    assert "\x1b[32mhealthy" in coloured("gateway        healthy")


@pytest.mark.requirement("ROLLOUT-002")
def test_a_cluster_that_cannot_be_asked_is_said_with_what_to_type(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "delivery.rollouts", "--once", f"--kubeconfig={tmp_path / 'none'}", "--namespace=a"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "make doctor" in done.stderr
    assert "Traceback" not in done.stderr
