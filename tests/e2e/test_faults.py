"""Callers of a model server that is slow or fails in part: each fault is a Component that a developer pushes."""

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from functools import partial

import pytest
from local_stack.eventually import eventually
from local_stack.first_picture import PICTURE
from sandbox.progress import Step
from storykit.changes import a_fault
from storykit.clone import Clone
from storykit.cluster import Cluster
from storykit.story import Story, following

DELAY_S = 0.7
ABORTED = 0.3
ASKED = 200
# Four standard deviations of a share of 0.3 in 200.
NEAR = 0.13
SETTLED_S = 30.0


@pytest.mark.requirement("MESH-009")
def test_a_slow_model_server_costs_what_it_delays_and_never_more_than_the_deadline(
    cluster: Cluster, clone: Clone, story: Story
) -> None:
    with story.when(f"sidecars hold inferences back for {DELAY_S * 1000:g} ms") as step:
        pushed(clone, "delay", step)
    with story.then("callers with time wait that much longer"):
        eventually(lambda: DELAY_S <= ask(cluster)[1] < 3 * DELAY_S, within=SETTLED_S, every=1)
    with story.then("callers without are told in time, and what would have missed their deadline"):
        (status, body), seconds = ask(cluster, timeout_ms=300)
        assert (status, body["code"]) == (504, "DEADLINE_EXCEEDED")
        assert "inference" in body["detail"]
        assert seconds < DELAY_S
        story.measured("a deadline of 300 ms, kept before a slow model server", seconds, target=0.4)


@pytest.mark.requirement("MESH-009")
def test_a_model_server_that_fails_in_part_fails_that_part_and_is_not_asked_again(
    cluster: Cluster, clone: Clone, story: Story
) -> None:
    with story.when(f"sidecars fail {ABORTED:.0%} of inferences") as step:
        pushed(clone, "abort", step)
    with story.then("so many callers get 503 in the gateway's words, and all others their answer"):
        eventually(lambda: ask(cluster)[0][0] != 200, within=SETTLED_S, every=0.1)
        answers = [ask(cluster)[0] for _ in range(ASKED)]
        counts = Counter(status for status, _ in answers)
        assert set(counts) == {200, 503}, counts
        assert all(body["code"] == "UNAVAILABLE" for status, body in answers if status != 200)
        share = counts[503] / ASKED
        story.measured(f"of {ASKED} calls refused while 30 % of inferences fail", 100 * share, unit="%", target=30)
        assert abs(share - ABORTED) < NEAR


def pushed(clone: Clone, kind: str, step: Step) -> None:
    a_fault(clone, kind)
    clone.commit(f"Let inferences meet a fault: {kind}")
    push = clone.push(on_line=partial(following, step))
    assert push.deployed, push.output


def ask(cluster: Cluster, *, timeout_ms: int = 5000) -> tuple[tuple[int, dict[str, str]], float]:
    """Return status and body of a prediction, and how long it took."""
    headers = {"content-type": "image/png", "x-request-timeout-ms": str(timeout_ms), **cluster.access().headers()}
    url = f"{cluster.rest}/v1/models/digits:predict"
    request = urllib.request.Request(url, PICTURE.read_bytes(), headers)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=20, context=cluster.access().context()) as response:
            answer = response.status, json.load(response)
    except urllib.error.HTTPError as error:
        answer = error.code, json.load(error)
    return answer, time.monotonic() - began
