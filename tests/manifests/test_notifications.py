"""Whom Argo Rollouts tells that it aborted a rollout: whoever keeps the environment's git."""

import json
from collections.abc import Mapping

import pytest
import yaml
from delivery.environments import Environment
from delivery.manifests import Manifest, of_kind
from delivery.push.__main__ import HOOKS
from sandbox.notices import notice_of

pytestmark = pytest.mark.xdist_group("manifests")

NAME = "argo-rollouts-notification-configmap"


def notifications(environment: Environment) -> Manifest:
    (found,) = [each for each in of_kind(environment.namespaces, "ConfigMap") if each.name == NAME]
    return found


def told(settings: Manifest) -> tuple[str, str]:
    """Return where a notice goes and what it says, as a template."""
    service = yaml.safe_load(settings.at("data", "service.webhook.git"))
    template = yaml.safe_load(settings.at("data", "template.rollout-aborted"))["webhook"]["git"]
    assert template["method"] == "POST"
    return "/".join(filter(None, (service["url"], template.get("path", "")))), template["body"]


@pytest.mark.requirement("ROLLOUT-003")
def test_every_environment_tells_of_aborted_rollouts_and_of_nothing_else(
    environments: Mapping[str, Environment],
) -> None:
    for environment in environments.values():
        settings = notifications(environment)
        (subscription,) = yaml.safe_load(settings.at("data", "subscriptions"))
        assert subscription == {"recipients": ["git"], "triggers": ["on-rollout-aborted"]}
        assert yaml.safe_load(settings.at("data", "trigger.on-rollout-aborted")) == [{"send": ["rollout-aborted"]}]


@pytest.mark.requirement("ROLLOUT-003")
def test_local_tells_the_sandboxs_git_server_by_a_notice_that_has_a_hook(
    environments: Mapping[str, Environment],
) -> None:
    local = environments["local"]
    url, body = told(notifications(local))
    assert url.startswith(local.facts.repository)
    repository, hook = notice_of("/" + url.removeprefix(local.facts.repository.rpartition("/")[0]).lstrip("/"))
    assert (repository, hook in HOOKS) == (local.facts.repository.rpartition("/")[2], True)
    said = body.replace("{{toJson .rollout.metadata.", '"').replace("}}", '"')
    assert json.loads(said) == {"namespace": "namespace", "rollout": "name"}


@pytest.mark.requirement("ROLLOUT-003")
def test_the_others_tell_github_with_a_token_that_is_not_in_git(environments: Mapping[str, Environment]) -> None:
    for name, environment in environments.items():
        if name != "local":
            settings = notifications(environment)
            url, body = told(settings)
            assert url == "$dispatches"
            assert "Bearer $token" in settings.at("data", "service.webhook.git")
            assert '"event_type": "rollout-aborted"' in body
            assert environment.facts.namespace == f"fairlead-{name}", "by that the notice names the environment"
