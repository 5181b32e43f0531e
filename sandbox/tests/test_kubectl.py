"""What is wrong with a pod, in the words that help."""

from datetime import UTC, datetime, timedelta

from sandbox.kubectl import Pod, is_new, trouble_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(phase: str, *, ready: bool = False, waiting: str = "", age: timedelta = timedelta(minutes=5)) -> Pod:
    return {
        "metadata": {
            "name": "argocd-server-0",
            "namespace": "argocd",
            "creationTimestamp": (NOW - age).isoformat(),
            "labels": {},
        },
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"state": {"waiting": {"reason": waiting}} if waiting else {}}],
        },
    }


def test_a_pod_that_is_ready_or_done_is_no_trouble() -> None:
    assert [trouble_of(pod("Running", ready=True)), trouble_of(pod("Succeeded"))] == ["", ""]


def test_the_reason_of_a_container_says_more_than_the_phase() -> None:
    assert trouble_of(pod("Pending", waiting="ImagePullBackOff")) == "argocd/argocd-server-0 (ImagePullBackOff)"
    assert trouble_of(pod("Pending", waiting="ContainerCreating")) == "argocd/argocd-server-0 (Pending)"


def test_a_pod_is_given_time_before_it_counts() -> None:
    assert is_new(pod("Pending", age=timedelta(seconds=3)), NOW)
    assert not is_new(pod("Pending", age=timedelta(minutes=2)), NOW)
