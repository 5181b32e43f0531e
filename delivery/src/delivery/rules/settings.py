"""Rules for settings: they exist, they are valid, they agree with ports, addresses and volumes."""

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from delivery.declarations import Declaration
from delivery.environments import App
from delivery.manifests import Manifest, dig, of_kind
from delivery.quantities import quantity
from delivery.rules.effective import effective_settings, own_containers, settings_configmaps, variables

Said = Iterator[tuple[Manifest, str]]

_LOOPBACK = ("127.", "localhost", "[::1]")
_VOLUME_SHARE = 0.85


def settings_exist(app: App) -> Said:
    """A misspelt variable is ignored in silence by the process; here it is not."""
    known = {f"{app.service.prefix}{field.upper()}" for field in app.service.settings.model_fields}
    for configmap in settings_configmaps(app):
        for name in sorted(set(configmap.at("data", default={})) - known):
            yield configmap, f"{name} is no setting of {app.service.name}: see the table in its README"


def settings_are_used(app: App) -> Said:
    """The container reads the settings' ConfigMap whole."""
    names = {each.name for each in settings_configmaps(app)}
    for container in own_containers(app):
        read = {source["configMapRef"]["name"] for source in container.get("envFrom", []) if "configMapRef" in source}
        if not names or names - read:
            workload = next(of_kind(app.objects, "Deployment", "StatefulSet"))
            yield workload, f"container {container['name']} must take {app.service.name}-settings by envFrom"


def settings_are_valid(app: App) -> Said:
    """The service would start with these values."""
    try:
        effective_settings(app)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            variable = f"{app.service.prefix}{'_'.join(map(str, each['loc']))}".upper()
            yield _settings_of(app), f"{variable} is {each['input']!r}: {each['msg']}"


def ports_are_bound(app: App, services: Mapping[str, Declaration]) -> Said:
    """The process listens where service.yaml says, and calls its neighbours where theirs says."""
    settings = effective_settings(app).model_dump()
    where = _settings_of(app)
    for port in app.service.ports:
        fields = (f"{port.name}_port", f"triton_{port.name}_port", f"{port.name}_address")
        bound = next((str(settings[field]) for field in fields if field in settings), "")
        if port.in_the_pod and bound.rpartition(":")[2] != str(port.number):
            yield where, f"port {port.name} is {port.number} in service.yaml, but the service binds {bound!r}"
    for field, value in settings.items():
        is_own = field.endswith("_host") or field == "grpc_address"
        if is_own and str(value).startswith(_LOOPBACK):
            yield where, f"{app.service.prefix}{field.upper()} is {value}: nobody outside the pod could reach it"
    yield from ((where, says) for says in _wrong_addresses(app.service, services, settings))


def _wrong_addresses(
    caller: Declaration, services: Mapping[str, Declaration], settings: Mapping[str, object]
) -> Iterator[str]:
    for callee in caller.content["calls"]:
        ports = [each for each in services[callee].ports if caller.name in each.open_to]
        wanted = f"{callee}:{ports[0].number}" if ports else f"a port of {callee} that service.yaml opens to it"
        if settings.get(f"{callee}_address") != wanted:
            yield f"{caller.prefix}{callee.upper()}_ADDRESS must be {wanted}"


def records_fit_their_volume(app: App) -> Said:
    """Retention by bytes comes before the disk is full, with room for the write-ahead log."""
    limit = getattr(effective_settings(app), "max_bytes", None)
    for workload in of_kind(app.objects, "StatefulSet"):
        for claim in workload.at("spec", "volumeClaimTemplates", default=[]):
            size = dig(claim, "spec", "resources", "requests", "storage", default=0)
            if limit is not None and limit > quantity(size) * _VOLUME_SHARE:
                variable = f"{app.service.prefix}MAX_BYTES"
                yield workload, f"{variable} is {limit}, more than {_VOLUME_SHARE:.0%} of the volume of {size}"


def records_outlive_the_service(app: App) -> Said:
    """Deleting or scaling a StatefulSet leaves its volumes."""
    for workload in of_kind(app.objects, "StatefulSet"):
        policy = workload.at("spec", "persistentVolumeClaimRetentionPolicy", default={})
        if policy != {"whenDeleted": "Retain", "whenScaled": "Retain"}:
            yield workload, "retain its volumes: persistentVolumeClaimRetentionPolicy, whenDeleted and whenScaled"


def nothing_secret(app: App) -> Said:
    """Nothing that must stay secret is in git."""
    for secret in of_kind(app.objects, "Secret"):
        yield secret, "a Secret with its data in git is no secret: refer to one that the cluster's store makes"
    words = ("password", "passwd", "token", "secret", "api_key", "apikey", "private_key", "credential")
    named = [(_settings_of(app), name) for name in variables(app)]
    named += [(each, name) for each in of_kind(app.objects, "ConfigMap") for name in each.at("data", default={})]
    for where, name in sorted(named, key=str):
        if any(word in name.lower() for word in words):
            yield where, f"{name} looks like a secret with its value in git: take it from a secretKeyRef"


def _settings_of(app: App) -> Manifest:
    return next(iter([*settings_configmaps(app), *app.objects]))


SETTINGS = (
    settings_exist,
    settings_are_used,
    settings_are_valid,
    records_fit_their_volume,
    records_outlive_the_service,
    nothing_secret,
)
