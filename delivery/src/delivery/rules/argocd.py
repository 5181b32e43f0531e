"""Rules for what Argo CD is told: least privilege, waves in the order of calls, guards against deletion."""

import re
from collections.abc import Iterator, Mapping

import yaml

from delivery.declarations import Declaration
from delivery.environments import Environment
from delivery.manifests import Manifest, of_kind

Said = Iterator[tuple[Manifest, str]]

_WAVE = "argocd.argoproj.io/sync-wave"
_GUARD = "argocd.argoproj.io/sync-options"
_PLACEHOLDER = "from-facts"
_OPTIONS = {"ServerSideApply=true", "FailOnSharedResource=true", "PruneLast=true"}
_PLAIN = "plain-envoy"
_PINNED = re.compile(r"v?\d+\.\d+\.\d+|[0-9a-f]{40}")


def facts_are_filled_in(environment: Environment) -> Said:
    """No placeholder is left, and what is ours comes from this cluster's repository and revision."""
    for each in [*environment.argocd, *environment.root]:
        if _PLACEHOLDER in yaml.safe_dump(dict(each.content)):
            yield each, f"{_PLACEHOLDER} was not replaced: add its field to platform/argocd/placement"
        for source in _sources(each):
            if _is_upstream(source, environment):
                continue
            found = (source.get("repoURL"), source.get("targetRevision") or source.get("revision"))
            if found != (environment.facts.repository, environment.facts.revision):
                yield each, f"comes from {found}, not from the facts' repository and revision"


def addons_are_pinned(environment: Environment) -> Said:
    """An addon is an Application of upstream's repository at a release, healed, and never removed by accident."""
    for each in of_kind(environment.argocd, "Application"):
        source, policy = each.at("spec", "source", default={}), each.at("spec", "syncPolicy", default={})
        revision = source.get("targetRevision", "")
        demands = {
            f"pin a release or a commit; {revision!r} may move": _PINNED.fullmatch(revision)
            or not _is_upstream(source, environment),
            "set project: addons": each.at("spec", "project") == "addons",
            "set automated.prune and automated.selfHeal": policy.get("automated") == {"prune": True, "selfHeal": True},
            f"set syncOptions {', '.join(sorted(_OPTIONS))}": set(policy.get("syncOptions", [])) >= _OPTIONS,
            "set a retry with a limit": policy.get("retry", {}).get("limit"),
            f"annotate it {_GUARD} with Delete=confirm": "Delete=confirm" in each.annotations.get(_GUARD, ""),
            f"annotate it {_WAVE} with a wave before those of the services": int(each.annotations.get(_WAVE, "0")) < 0,
        }
        yield from ((each, says) for says, holds in demands.items() if not holds)


def proxy_is_as_it_was_built(environment: Environment) -> Said:
    """Istio's proxy measures what plain Envoy cannot; only a cluster that has no other does without."""
    for each in of_kind(environment.argocd, "Application"):
        variables = each.at("spec", "source", "helm", "valuesObject", "env", default={})
        plain = variables.get("PILOT_ENABLE_METADATA_EXCHANGE") == "false"
        if each.name == "istiod" and plain != (environment.facts.proxy == _PLAIN):
            yield each, f"platform/addons/plain-envoy goes with proxy: {_PLAIN} in the facts, and with no other"


def _is_upstream(source: Mapping[str, str], environment: Environment) -> bool:
    return source.get("repoURL", "").startswith(f"{environment.facts.upstream}/")


def _sources(each: Manifest) -> Iterator[Mapping[str, str]]:
    if each.kind == "Application":
        yield each.at("spec", "source")
    if each.kind == "ApplicationSet":
        yield each.at("spec", "template", "spec", "source")
        yield from (row["git"] for row in each.at("spec", "generators", default=[]) if "git" in row)


def projects_have_no_wildcards(environment: Environment) -> Said:
    """A project lists what it may touch, and each of the lists is what it needs."""
    for project in of_kind([*environment.argocd, *environment.root], "AppProject"):
        if "*" in str(project.at("spec")):
            yield project, "a wildcard allows what nobody decided: list repositories, destinations and kinds"
    rendered = {
        "services": {(each.group, each.kind) for app in environment.apps.values() for each in app.objects},
        "platform": {(each.group, each.kind) for each in environment.namespaces},
        "addons": {(each.group, each.kind) for each in environment.addons},
    }
    for project in of_kind(environment.argocd, "AppProject"):
        rows = [
            *project.at("spec", "namespaceResourceWhitelist", default=[]),
            *project.at("spec", "clusterResourceWhitelist", default=[]),
        ]
        allowed = {(row["group"], row["kind"]) for row in rows}
        if missing := rendered.get(project.name, set()) - allowed:
            yield project, f"does not allow {_spoken(missing)}, which this environment renders"


def _spoken(kinds: set[tuple[str, str]]) -> str:
    return ", ".join(sorted(kind for _group, kind in kinds))


def applicationsets_are_strict(environment: Environment) -> Said:
    """A missing key is an error, drift is healed, what left git is pruned, and nothing falls with its generator."""
    for each in of_kind(environment.argocd, "ApplicationSet"):
        spec = each.at("spec")
        policy = each.at("spec", "template", "spec", "syncPolicy", default={})
        demands = {
            "set goTemplate: true and missingkey=error": spec.get("goTemplate")
            and spec.get("goTemplateOptions") == ["missingkey=error"],
            "set preserveResourcesOnDeletion: true": each.at("spec", "syncPolicy", "preserveResourcesOnDeletion"),
            "set automated.prune and automated.selfHeal": policy.get("automated") == {"prune": True, "selfHeal": True},
            f"set syncOptions {', '.join(sorted(_OPTIONS))}": set(policy.get("syncOptions", [])) >= _OPTIONS,
            "set a retry with a limit": policy.get("retry", {}).get("limit"),
            f"annotate it {_GUARD} with Delete=confirm": "Delete=confirm" in each.annotations.get(_GUARD, ""),
            f"annotate it {_WAVE}": _WAVE in each.annotations,
        }
        yield from ((each, says) for says, holds in demands.items() if not holds)


def waves_follow_the_calls(environment: Environment, services: Mapping[str, Declaration]) -> Said:
    """A service is synchronised after every service that it calls, and each belongs to exactly one ApplicationSet."""
    waves = {
        each.at("spec", "generators", 0, "selector", "matchLabels", "wave"): int(each.annotations.get(_WAVE, "0"))
        for each in of_kind(environment.argocd, "ApplicationSet")
    }
    where = next(of_kind(environment.argocd, "ApplicationSet"))
    order: dict[str, int] = {}
    for name in environment.apps:
        path = environment.folder / "apps" / name / "app.yaml"
        app = yaml.safe_load(path.read_text()) if path.is_file() else {}
        if app.get("name") != name:
            yield where, f"apps/{name}/app.yaml is named {app.get('name')!r}"
        if app.get("wave") not in waves:
            yield where, f"apps/{name}/app.yaml has wave {app.get('wave')!r}; there are {', '.join(sorted(waves))}"
        else:
            order[name] = waves[app["wave"]]
    for caller, wave in order.items():
        for callee in services[caller].content["calls"]:
            if order.get(callee, -1) >= wave:
                yield where, f"{caller} calls {callee}, so its wave must be a later one"


ARGOCD = (
    facts_are_filled_in,
    addons_are_pinned,
    proxy_is_as_it_was_built,
    projects_have_no_wildcards,
    applicationsets_are_strict,
)
