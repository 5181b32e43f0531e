"""Rules for canaries: who runs the pods, what moves the weights, what judges, and how it ends."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from delivery.environments import App, Environment
from delivery.manifests import Manifest, dig, of_kind
from delivery.rules.door import ARM_HEADER
from delivery.rules.effective import effective_settings

Said = Iterator[tuple[Manifest, str]]

_SYNC = "argocd.argoproj.io/sync-options"
_COMPARE = "argocd.argoproj.io/compare-options"
_RESPECT = "RespectIgnoreDifferences=true"
_ALL = 100
_UNJUDGED = 50
_WATCHED = {"failures", "slow-calls", "crashes"}
_EVIDENCE = "evidence"
_SUBSETS = {"stable": _ALL, "canary": 0}
_ROUTE_FIELDS = {"name", "match", "route"}


def rollouts_run_the_pods(app: App) -> Said:
    """A Rollout takes its pods from a Deployment that runs none; autoscalers scale the Rollout."""
    rollouts = list(of_kind(app.objects, "Rollout"))
    templates = {each.at("spec", "workloadRef", "name") for each in rollouts}
    for each in rollouts:
        if "template" in each.at("spec") or each.at("spec", "workloadRef", "kind") != "Deployment":
            yield each, "must take its pods from a Deployment by workloadRef: rules for pods read those"
    for deployment in of_kind(app.objects, "Deployment"):
        if deployment.name not in templates:
            yield deployment, "no Rollout takes its pods: a change would reach all callers at once"
        elif deployment.at("spec", "replicas") != 0:
            yield deployment, "set replicas: 0: its pods would get calls beside those that the Rollout runs"
    for each in of_kind(app.objects, "HorizontalPodAutoscaler"):
        if each.at("spec", "scaleTargetRef", "kind") == "Deployment":
            yield each, "scales the Deployment, which runs no pods: scaleTargetRef must name the Rollout"


def canaries_are_judged(app: App) -> Said:
    """From the first weight on something looks, and no more than half of the calls go on without evidence."""
    for rollout in of_kind(app.objects, "Rollout"):
        canary = rollout.at("spec", "strategy", "canary", default={})
        background = canary.get("analysis", {})
        if not _templates(background) or background.get("startingStep", 0) > 1:
            yield rollout, "needs an analysis in the background that begins with the first weight: startingStep 0 or 1"
        elif missing := _WATCHED - _templates(background):
            yield rollout, f"is not watched for {', '.join(sorted(missing))}: add to the templates of its analysis"
        weight = 0
        for step in canary.get("steps", []):
            if _EVIDENCE in _templates(step.get("analysis", {})):
                break
            weight = step.get("setWeight", weight)
        else:
            yield rollout, f"no step is an analysis by {_EVIDENCE}: where nobody calls, any canary would be promoted"
        if weight > _UNJUDGED:
            yield rollout, f"gives {weight} % of the calls to a canary before a step asks for evidence"


def _templates(analysis: Mapping[str, Any]) -> set[str]:
    return {row["templateName"] for row in analysis.get("templates", [])}


def steps_end_with_all_calls(app: App) -> Said:
    """Weights grow, step by step, to all calls; steps come from a component."""
    for rollout in of_kind(app.objects, "Rollout"):
        steps = rollout.at("spec", "strategy", "canary", "steps", default=[])
        weights = [step["setWeight"] for step in steps if "setWeight" in step]
        if not weights:
            yield rollout, "has no steps: add one of platform/components/steps-* to clusters/<env>/env"
        elif weights != sorted(set(weights)) or weights[-1] != _ALL:
            yield rollout, f"its weights are {weights}; they must grow and end with {_ALL}"


def weights_stand_alone(app: App) -> Said:
    """What Argo Rollouts writes holds nothing else, for Argo CD leaves all of it alone."""
    for rollout in of_kind(app.objects, "Rollout"):
        istio = rollout.at("spec", "strategy", "canary", "trafficRouting", "istio", default={})
        named = istio.get("virtualService", {})
        found = _named(app, "VirtualService", named.get("name", ""))
        if found is None:
            yield rollout, f"there is no VirtualService {named.get('name')!r} for its weights"
            continue
        if found.name != f"{app.service.name}-weights":
            yield found, f"must be named {app.service.name}-weights, whose weights Argo CD leaves alone"
        if strange := set(found.at("spec")) - {"http"}:
            yield found, f"holds {', '.join(sorted(strange))}, which Argo CD could not correct: it belongs elsewhere"
        routes = found.at("spec", "http", default=[])
        if [route.get("name") for route in routes] != named.get("routes"):
            yield found, f"its routes must be those that the Rollout names: {named.get('routes')}"
        yield from ((found, says) for route in routes for says in _bad_route(route, app.service.name))


def _bad_route(route: Mapping[str, Any], service: str) -> Iterator[str]:
    if strange := set(route) - _ROUTE_FIELDS:
        held = ", ".join(sorted(strange))
        yield f"route {route.get('name')} holds {held}, which Argo CD could not correct: put it in {service}"
    rows = route.get("route", [])
    weights = {row["destination"].get("subset"): row.get("weight") for row in rows}
    if weights != _SUBSETS or {row["destination"].get("host") for row in rows} != {service}:
        yield f"route {route.get('name')} must send 100 to subset stable and 0 to subset canary of {service}"


def calls_reach_the_weights(app: App) -> Said:
    """Who calls the service by its name is routed by the weights, to the subsets that the Rollout fills."""
    for rollout in of_kind(app.objects, "Rollout"):
        service = app.service.name
        found = _named(app, "VirtualService", service)
        hosts = found.at("spec", "hosts") if found else None
        if found is None or hosts != [service]:
            yield found or rollout, f"a VirtualService {service} must be for hosts [{service}] alone, not {hosts}"
        elif found.at("spec", "http", -1, "delegate", "name") != f"{service}-weights":
            yield found, f"its last route must delegate to {service}-weights: calls would pass the weights by"
        rule = _named(app, "DestinationRule", service)
        subsets = {each.get("name") for each in rule.at("spec", "subsets", default=[])} if rule else set()
        if rule is None or rule.at("spec", "host") != service or subsets != set(_SUBSETS):
            yield (
                rule or rollout,
                f"a DestinationRule {service} must split {service} into subsets stable and canary",
            )


def asked_arms_reach_the_canary(app: App) -> Said:
    """Where callers of an analysis ask for an arm, it is the canary that answers them, and not stable in its place."""
    service = app.service.name
    for rollout in of_kind(app.objects, "Rollout"):
        asked: set[str] = set()
        found = _named(app, "VirtualService", service)
        led = set(_arms_of_the_canary(found)) if found else set()
        for step in rollout.at("spec", "strategy", "canary", "steps", default=[]):
            matches = dig(step, "setHeaderRoute", "match", default=[])
            led |= {dig(row, "headerValue", "exact") for row in matches if row["headerName"] == ARM_HEADER}
            asked |= {row["value"] for row in dig(step, "analysis", "args", default=[]) if row["name"] == "arm"}
            for arm in sorted(asked - led):
                nobody = f"which no earlier step and no route of VirtualService {service} leads to canary"
                yield rollout, f"is judged by calls of arm {arm}, {nobody}"
            led |= asked  # said once
        if asked and not _may_ask_for(asked, app):
            arms = ", ".join(sorted(asked))
            yield rollout, f"is judged by calls of arm {arms}, which callers may not ask for: add preview"


def _may_ask_for(arms: set[str], app: App) -> bool:
    """Whether the gateway lets callers choose these arms; other services are told of the choice."""
    settings = effective_settings(app)
    if not hasattr(settings, "experiment_arms"):
        return True
    declared = {row.partition("=")[0].strip() for row in settings.experiment_arms.split(",")}
    return bool(settings.experiment_override) and arms <= declared


def _arms_of_the_canary(service: Manifest) -> Iterator[str]:
    for route in service.at("spec", "http", default=[]):
        if {dig(row, "destination", "subset") for row in route.get("route", [])} == {"canary"}:
            yield from (str(dig(row, "headers", ARM_HEADER, "exact")) for row in route.get("match", []))


def header_routes_lead_to_pods(app: App) -> Said:
    """A route that a step sets is for callers in the mesh, leads to pods as long as it is there, and is taken away."""
    weights = f"{app.service.name}-weights"
    for rollout in of_kind(app.objects, "Rollout"):
        canary = rollout.at("spec", "strategy", "canary", default={})
        managed = {row["name"] for row in dig(canary, "trafficRouting", "managedRoutes", default=[])}
        routes: set[str] = set()
        for number, (step, pods) in enumerate(_sized(canary.get("steps", [])), start=1):
            route = dig(step, "setHeaderRoute", "name")
            if route and route not in managed:
                yield rollout, f"sets route {route}, which managedRoutes must list: Argo Rollouts takes no other away"
            if route and not pods:
                yield rollout, f"sets route {route} before a step gives the canary pods: its callers would be refused"
            elif routes and not pods:
                yield rollout, f"step {number} takes all pods from the canary, to which {', '.join(routes)} still leads"
            routes |= {route} if route else set()
        for each in of_kind(app.objects, "VirtualService") if routes else ():
            delegates = {dig(row, "delegate", "name") for row in each.at("spec", "http", default=[])}
            if weights in delegates and each.name != app.service.name:
                yield rollout, f"must not set routes in {weights}, by which {each.name} lets in strangers: add preview"


def _sized(steps: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Return each step, and whether there are pods of the canary once it is done, as Argo Rollouts reckons them."""
    weight, scale = 0, None
    for step in steps:
        weight = step.get("setWeight", weight)
        wanted = step.get("setCanaryScale", {})
        scale = None if wanted.get("matchTrafficWeight") else wanted.get("replicas", wanted.get("weight", scale))
        yield step, bool(weight if scale is None else scale)


def canaries_are_held_once(app: App) -> Said:
    """A person is asked once: who promotes an experiment does not find that it waits again."""
    for rollout in of_kind(app.objects, "Rollout"):
        steps = rollout.at("spec", "strategy", "canary", "steps", default=[])
        holds = [each for each in steps if "pause" in each and not (each["pause"] or {}).get("duration")]
        if len(holds) > 1:
            yield rollout, f"waits for a person {len(holds)} times: beside experiment leave out the component hold"


def stable_is_scaled_one_way(app: App) -> Said:
    """Stable's pods are kept until the end, or given back as weight moves: both at once is refused, or has no room."""
    for rollout in of_kind(app.objects, "Rollout"):
        canary = rollout.at("spec", "strategy", "canary", default={})
        if canary.get("dynamicStableScale") and "scaleDownDelaySeconds" in canary:
            yield rollout, "remove scaleDownDelaySeconds: with dynamicStableScale stable has no pods left to delay"
        scales = [dig(each, "setCanaryScale", "weight") for each in canary.get("steps", [])]
        if canary.get("dynamicStableScale") and any(scales):
            yield rollout, "asks for pods beside all of stable's: hold, experiment, blue-green exceed a budget of GPUs"


def settings_outlive_git(app: App) -> Said:
    """While a canary goes, stable's pods still need the settings that git has no more."""
    if not any(of_kind(app.objects, "Rollout")):
        return
    for each in of_kind(app.objects, "ConfigMap"):
        kept = (each.annotations.get(_SYNC), each.annotations.get(_COMPARE)) == ("Prune=false", "IgnoreExtraneous")
        if each.name.startswith(f"{app.service.name}-settings") and not kept:
            yield each, f"annotate it {_SYNC}: Prune=false and {_COMPARE}: IgnoreExtraneous; stable's pods need theirs"


def analyses_exist(environment: Environment) -> Said:
    """A Rollout that names a template that is not there, or two that disagree, is degraded before its first step."""
    there = {each.name: each for each in of_kind(environment.objects, "AnalysisTemplate")}
    for app in environment.apps.values():
        for rollout in of_kind(app.objects, "Rollout"):
            canary = rollout.at("spec", "strategy", "canary", default={})
            analyses = [canary.get("analysis", {}), *(step.get("analysis", {}) for step in canary.get("steps", []))]
            named = {name for each in analyses for name in _templates(each)}
            if missing := named - set(there):
                yield environment.namespaces[0], f"{rollout} is judged by {', '.join(sorted(missing))}; there is none"
            for each in analyses:
                templates = [there[name] for name in sorted(_templates(each)) if name in there]
                yield from _disagreeing(templates)


def _disagreeing(templates: Iterable[Manifest]) -> Said:
    values: dict[str, str] = {}
    for template in templates:
        for row in template.at("spec", "args", default=[]):
            if "value" in row and values.setdefault(row["name"], row["value"]) != row["value"]:
                both = f"{values[row['name']]} and {row['value']}"
                yield template, f"argument {row['name']} is {both} in one analysis, which Argo Rollouts refuses"


def weights_are_left_to_rollouts(environment: Environment) -> Said:
    """Argo CD neither reports nor undoes what Argo Rollouts writes, and nothing but that."""
    wanted = {("VirtualService", "{{.name}}-weights", "/spec/http"), ("DestinationRule", "{{.name}}", "/spec/subsets")}
    for each in of_kind(environment.argocd, "ApplicationSet"):
        spec = each.at("spec", "template", "spec")
        rows = spec.get("ignoreDifferences", [])
        left = {(row["kind"], row.get("name"), pointer) for row in rows for pointer in row.get("jsonPointers", [])}
        respected = _RESPECT in spec.get("syncPolicy", {}).get("syncOptions", [])
        if spec["project"] == "services" and (left != wanted or not respected):
            yield each, f"must leave {sorted(wanted)} alone, no more and no less, and set {_RESPECT}"


def _named(app: App, kind: str, name: str) -> Manifest | None:
    return next((each for each in of_kind(app.objects, kind) if each.name == name), None)


ROLLOUTS = (
    rollouts_run_the_pods,
    canaries_are_judged,
    steps_end_with_all_calls,
    weights_stand_alone,
    calls_reach_the_weights,
    asked_arms_reach_the_canary,
    header_routes_lead_to_pods,
    canaries_are_held_once,
    stable_is_scaled_one_way,
    settings_outlive_git,
)
AROUND = (analyses_exist, weights_are_left_to_rollouts)
