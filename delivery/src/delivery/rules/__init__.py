"""All rules, by what they judge: an application, an environment, or all environments together."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from delivery.declarations import Declaration
from delivery.environments import App, Environment
from delivery.findings import Finding
from delivery.manifests import Manifest
from delivery.quantities import NotAQuantity
from delivery.rules.argocd import ARGOCD, waves_follow_the_calls
from delivery.rules.door import DOOR
from delivery.rules.mesh import MESH, MESH_OF_ALL
from delivery.rules.namespaces import NAMESPACES
from delivery.rules.network import NETWORK, edges_are_declared
from delivery.rules.pods import PODS
from delivery.rules.rollouts import AROUND, ROLLOUTS
from delivery.rules.scaling import SCALING
from delivery.rules.settings import SETTINGS, ports_are_bound, settings_are_valid

Said = Iterable[tuple[Manifest, str]]
Services = Mapping[str, Declaration]

_OF_APPS = (*PODS, *SCALING, *ROLLOUTS, *NETWORK, *DOOR, *MESH, *SETTINGS)


def judge_app(app: App, services: Services) -> list[Finding]:
    """Return what is wrong with one service in one environment."""
    where = f"clusters/{app.facts.environment}/apps/{app.service.name}"
    invalid = list(_findings(where, settings_are_valid, settings_are_valid(app)))
    if invalid:  # the other rules read the settings
        return invalid
    found = [each for rule in _OF_APPS for each in _findings(where, rule, rule(app))]
    for rule in (edges_are_declared, ports_are_bound, *MESH_OF_ALL):
        found.extend(_findings(where, rule, rule(app, services)))
    return found


def judge_environment(environment: Environment, services: Services) -> list[Finding]:
    """Return what is wrong with what surrounds the services of an environment."""
    folder = f"clusters/{environment.name}"
    found = [each for rule in NAMESPACES for each in _findings(f"{folder}/namespaces", rule, rule(environment))]
    found.extend(each for rule in (*ARGOCD, *AROUND) for each in _findings(f"{folder}/argocd", rule, rule(environment)))
    ordered = waves_follow_the_calls(environment, services)
    found.extend(_findings(f"{folder}/argocd", waves_follow_the_calls, ordered))
    return found


def _findings(where: str, rule: Callable[..., Said], said: Said) -> Iterator[Finding]:
    name = rule.__name__.replace("_", "-")
    try:
        for manifest, says in said:
            yield Finding(f"{where}: {manifest}", name, says)
    except NotAQuantity as error:  # the schemas take any text
        yield Finding(where, name, str(error))
