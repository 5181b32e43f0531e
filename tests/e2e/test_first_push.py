"""What a newcomer sees: one push, and everything answers."""

import json
import re
import subprocess
import urllib.request

import pytest
import yaml
from local_stack.eventually import eventually
from local_stack.settings import ROOT
from storykit.cluster import ADDONS, SERVICES, Cluster
from storykit.story import Story

GOLDEN = "7"
SMOKE = "gateway-smoke"


@pytest.mark.core
@pytest.mark.requirement("E2E-001", "SANDBOX-001")
def test_a_cluster_serves_the_golden_prediction_from_git_alone(cluster: Cluster, story: Story) -> None:
    with story.given("nothing but a push of what is committed here"):
        assert set(cluster.applications()) == {"root", "namespaces", *ADDONS, *SERVICES}
        cluster.await_healthy()
    with story.then("the smoke test of this push has passed"):
        smoke = cluster.get("job", SMOKE)
        assert smoke["status"].get("succeeded") == 1
        assert pinned_digest() in cluster.kubectl.run("logs", f"job/{SMOKE}", f"--namespace={cluster.namespace}")
    with story.then("the door answers a seven with the pinned model, over REST and over gRPC"):
        answers = cluster.predict()
        assert [(each.label, each.digest) for each in answers] == [(GOLDEN, pinned_digest())] * len(answers)
    with (
        story.then("monitoring has recorded both"),
        cluster.forward("statefulset/monitoring", 8081) as monitoring,
    ):
        eventually(lambda: {each.prediction_id for each in answers} <= recorded(monitoring), every=0.5)


@pytest.mark.core
@pytest.mark.requirement("REPO-003")
@pytest.mark.usefixtures("cluster")
def test_the_call_in_the_readme_gets_through_the_door(story: Story) -> None:
    with story.given("the call as it is printed there"):
        printed = re.search(r"<!-- run: door -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        assert printed, "the README has lost its call"
    with story.then("it lists the model"):
        done = subprocess.run(["bash", "-euc", printed[1]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert [each["name"] for each in json.loads(done.stdout)["models"]] == ["digits"]


def recorded(monitoring: str) -> set[str]:
    with urllib.request.urlopen(f"{monitoring}/api/predictions", timeout=10) as answer:
        return {each["prediction_id"] for each in json.load(answer)["predictions"]}


def pinned_digest() -> str:
    release = ROOT / "clusters/local/apps/inference/release/kustomization.yaml"
    [settings] = yaml.safe_load(release.read_text())["configMapGenerator"]
    return str(settings["literals"][0]).partition("@")[2]
