"""What the sandbox's git server runs when Argo Rollouts has aborted one: python -m delivery.proposals.

The notice on standard input only says where to look. What is aborted, and why, the cluster is asked for: whoever else
posts a notice gets no more than that look.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.kubectl import Kubectl
from sandbox.problem import Problem
from sandbox.settings import ROOT, SandboxSettings

from delivery.environments import Facts
from delivery.findings import CannotCheck
from delivery.manifests import dig
from delivery.programs import Toolbox
from delivery.proposals.revert import Aborted, Reverting
from delivery.rendering import Renderer
from delivery.repository import Repository
from delivery.rollouts.read import KINDS, rollouts
from delivery.rollouts.told import reasons
from delivery.stages import LOCAL

# The notice comes while the controller still decides; its status says so a moment later.
_SETTLES_S = 60.0
_POLL_S = 1.0


def main() -> int:
    """Write the proposal, or say why there is none."""
    parser = argparse.ArgumentParser(prog="python -m delivery.proposals", description=__doc__)
    parser.add_argument("--repository", type=Path, required=True, help="the bare repository")
    repository = Repository(parser.parse_args().repository)
    settings = SandboxSettings.read()
    namespace = Facts.read(ROOT / "clusters" / LOCAL / "facts").namespace
    try:
        service = service_of(sys.stdin.read(), namespace)
        aborted = await_aborted(Kubectl(settings.bin / "kubectl", settings.kubeconfig), namespace, service)
        branch = Reverting(repository, Renderer.from_toolbox(Toolbox())).propose(aborted)
    except (Problem, CannotCheck) as error:
        print(f"No revert is proposed. {error}", flush=True)
        return 1
    print(f"Proposed: git push sandbox sandbox/{branch}:main\n{aborted.why}", flush=True)
    return 0


def service_of(notice: str, namespace: str) -> str:
    """Return which rollout a notice is about; raise Problem when it is about none of this environment."""
    try:
        told = json.loads(notice)
        service, where = told["rollout"], told["namespace"]
    except (ValueError, TypeError, KeyError):
        raise Problem("A notice came that names no rollout.", "") from None
    if not isinstance(service, str) or where != namespace:
        raise Problem("A notice came of something else than what runs here.", "")
    return service


def await_aborted(kubectl: Kubectl, namespace: str, service: str, *, within: float = _SETTLES_S) -> Aborted:
    """Wait until the cluster says that this rollout is aborted, and return what it says besides."""
    deadline = time.monotonic() + within
    while True:
        items = json.loads(kubectl.run("get", KINDS, f"--namespace={namespace}", "--output=json"))["items"]
        found = next((each for each in rollouts(items) if each.service == service), None)
        if found and found.phase == "aborted" and found.canary:
            templates = _templates(items)
            why = "\n".join(reasons(found))
            return Aborted(service, templates.get(found.canary.hash, {}), templates.get(found.stable.hash, {}), why)
        if not found or time.monotonic() > deadline:
            raise Problem(f"The cluster does not say that a rollout {service} is aborted.", "")
        time.sleep(_POLL_S)


def _templates(items: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the pod templates of ReplicaSets, by the hash that tells revisions apart."""
    sets = [each for each in items if each["kind"] == "ReplicaSet"]
    label = "rollouts-pod-template-hash"
    return {
        each["metadata"].get("labels", {}).get(label, ""): dig(each, "spec", "template", default={}) for each in sets
    }


if __name__ == "__main__":
    sys.exit(main())
