"""Rules for identity, scaling and disruption of workloads."""

from collections.abc import Iterator

from delivery.environments import App
from delivery.manifests import NAME_LABEL, SERVERS, Manifest, dig, of_kind

Said = Iterator[tuple[Manifest, str]]

_LABELS = tuple(f"app.kubernetes.io/{each}" for each in ("name", "component", "part-of", "managed-by"))
_HIGH = 3


def is_labelled(app: App) -> Said:
    """Every object says what it is, and what it belongs to."""
    for each in app.objects:
        if missing := [label for label in _LABELS if label not in each.labels]:
            yield each, f"label it with {', '.join(missing)}"


def selectors_are_names(app: App) -> Said:
    """Selectors cannot be changed later, so they hold the name alone, and templates carry it."""
    own = {NAME_LABEL: app.service.name}
    for workload in of_kind(app.objects, *SERVERS):
        if workload.at("spec", "selector", "matchLabels") != own:
            yield workload, f"its selector must be exactly {own}"
        if workload.pod_labels.get(NAME_LABEL) != app.service.name:
            yield workload, f"its pods must carry the label {NAME_LABEL}: {app.service.name}"
    for service in of_kind(app.objects, "Service"):
        if service.at("spec", "selector") != own:
            yield service, f"its selector must be exactly {own}"
    for budget in of_kind(app.objects, "PodDisruptionBudget"):
        if budget.at("spec", "selector", "matchLabels") != own:
            yield budget, f"its selector must be exactly {own}"


def autoscaler_owns_replicas(app: App) -> Said:
    """With an autoscaler, git names no number of replicas: self-heal would undo every scaling. Without one, it does."""
    scaled = {each.at("spec", "scaleTargetRef", "name") for each in of_kind(app.objects, "HorizontalPodAutoscaler")}
    for workload in of_kind(app.objects, "Rollout", "StatefulSet"):
        replicas = workload.at("spec", "replicas")
        if workload.name in scaled and replicas is not None:
            yield workload, f"has an autoscaler and replicas: {replicas}, and Argo CD would undo every scaling"
        if workload.name not in scaled and replicas is None:
            yield workload, "has neither an autoscaler nor a number of replicas"


def can_be_disrupted(app: App) -> Said:
    """One budget per service, which lets a node be drained even with a single pod."""
    budgets = list(of_kind(app.objects, "PodDisruptionBudget"))
    if len(budgets) != 1:
        yield app.objects[0], f"{app.service.name} needs one PodDisruptionBudget and has {len(budgets)}"
    for budget in budgets:
        if budget.at("spec", "minAvailable") is not None or not budget.at("spec", "maxUnavailable"):
            yield budget, "use maxUnavailable: 1: minAvailable blocks the drain of a node with the only pod"


def availability_is_as_stated(app: App) -> Said:
    """Facts say how available an environment is, and its manifests keep it."""
    if app.facts.availability != "high":
        return
    for scaler in of_kind(app.objects, "HorizontalPodAutoscaler"):
        if scaler.at("spec", "minReplicas", default=1) < _HIGH:
            yield (
                scaler,
                f"availability: high (facts) needs minReplicas of at least {_HIGH}: use platform/components/ha",
            )
    for workload in of_kind(app.objects, "Deployment"):
        rows = workload.pod.get("topologySpreadConstraints", [])
        hosts = [row for row in rows if row["topologyKey"] == "kubernetes.io/hostname"]
        if any(dig(row, "whenUnsatisfiable") != "DoNotSchedule" for row in hosts):
            yield workload, "availability: high (facts) needs its pods on different nodes: use platform/components/ha"


def jobs_are_hooks(app: App) -> Said:
    """A Job that is no hook runs once and then cannot be changed: its template is immutable."""
    for job in of_kind(app.objects, "Job"):
        if not job.annotations.get("argocd.argoproj.io/hook"):
            yield job, "annotate it with argocd.argoproj.io/hook: a Job cannot be changed by the next release"
        if not job.at("spec", "activeDeadlineSeconds"):
            yield job, "give it activeDeadlineSeconds: a sync would wait for ever"


def is_in_its_namespace(app: App) -> Said:
    """An environment is its namespace; nothing of a service is elsewhere, nothing is cluster-wide."""
    for each in app.objects:
        if each.namespace != app.facts.namespace:
            yield each, f"is in namespace {each.namespace!r}, not in {app.facts.namespace} (clusters/<env>/env)"


SCALING = (
    is_labelled,
    selectors_are_names,
    autoscaler_owns_replicas,
    can_be_disrupted,
    availability_is_as_stated,
    jobs_are_hooks,
    is_in_its_namespace,
)
