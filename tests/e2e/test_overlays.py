"""Every environment as the real API server sees it: defaulting, validation, admission, Argo CD's definitions."""

import json
from collections.abc import Sequence

import pytest
from delivery.environments import environment_folders, render_environment
from delivery.manifests import Manifest
from delivery.programs import Toolbox
from delivery.rendering import Renderer
from local_stack.settings import ROOT
from storykit.cluster import Cluster
from storykit.pods import namespace
from storykit.story import Story

NAMES = [folder.name for folder in environment_folders(ROOT)]
HOOK = "argocd.argoproj.io/hook"
# What Argo CD calls itself: in local it owns these fields already.
APPLY = ("apply", "--server-side", "--dry-run=server", "--field-manager=argocd-controller", "--force-conflicts")
STRICT = ("--warnings-as-errors", "--filename=-")
# Istio warns of each one, whatever is in it: that it is close to Envoy.
WARNED = "EnvoyFilter"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer.from_toolbox(Toolbox())


@pytest.mark.core
@pytest.mark.requirement("E2E-026")
@pytest.mark.parametrize("name", NAMES)
def test_the_api_server_accepts_everything_of_an_environment_without_a_warning(
    name: str, renderer: Renderer, cluster: Cluster, story: Story
) -> None:
    with story.given(f"everything that git says of {name}"):
        environment = render_environment(ROOT / "clusters" / name, renderer)
        (place,) = [each for each in environment.namespaces if each.kind == "Namespace"]
    # A dry run makes no namespace, and nothing can be tried in one that is not there.
    with namespace(cluster, place.name, place.labels), story.then("the API server takes all of it"):
        assert taken(cluster, environment.objects) == len(environment.objects)


def taken(cluster: Cluster, objects: Sequence[Manifest]) -> int:
    """Return how many objects the API server took; its refusals and warnings are an error with its words."""
    hooks = [dict(each.content) for each in objects if HOOK in each.annotations]
    others = [dict(each.content) for each in objects if HOOK not in each.annotations and each.kind != WARNED]
    warned = [dict(each.content) for each in objects if each.kind == WARNED]
    for hook in hooks:
        # Argo CD deletes the last one before it creates the next; here another name serves.
        hook["metadata"] = {**hook["metadata"], "name": None, "generateName": f"{hook['metadata']['name']}-"}
    said = [cluster.kubectl.run(*APPLY, *STRICT, text=a_list(others))]
    said += [cluster.kubectl.run(*APPLY, "--filename=-", text=a_list(warned))] if warned else []
    said += [cluster.kubectl.run("create", "--dry-run=server", *STRICT, text=a_list(hooks))] if hooks else []
    return sum(text.count("(server dry run)\n") for text in said)


def a_list(objects: list[dict[str, object]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
