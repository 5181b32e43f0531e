"""The settings that a service really starts with: its image's environment under its ConfigMap."""

from collections.abc import Mapping
from typing import Any

from delivery.environments import App
from delivery.manifests import SERVERS, Manifest, dig, of_kind


def effective_settings(app: App) -> Any:
    """Return the Settings object of the service in this environment; raises pydantic's ValidationError."""
    known = app.service.settings.model_fields
    fields = {name.removeprefix(app.service.prefix).lower(): value for name, value in variables(app).items()}
    return app.service.settings(**{name: value for name, value in fields.items() if name in known})


def variables(app: App) -> Mapping[str, str]:
    """Return the variables of the service's own container that are settings."""
    found = dict(app.service.image_environment)
    configmaps = {each.name: each for each in of_kind(app.objects, "ConfigMap")}
    for container in own_containers(app):
        for source in container.get("envFrom", []):
            configmap = configmaps.get(dig(source, "configMapRef", "name", default=""))
            found |= configmap.at("data", default={}) if configmap else {}
        found |= {row["name"]: row["value"] for row in container.get("env", []) if "value" in row}
    # GIT_COMMIT comes from a build argument.
    return {
        name: value
        for name, value in found.items()
        if name.startswith(app.service.prefix) and not value.startswith("$")
    }


def own_containers(app: App) -> list[Mapping[str, Any]]:
    """Return the containers that run the service itself."""
    return [
        container
        for workload in of_kind(app.objects, *SERVERS)
        for container in workload.containers
        if container["name"] == app.service.name
    ]


def settings_configmaps(app: App) -> list[Manifest]:
    """Return the ConfigMaps that hold settings of this service."""
    return [each for each in of_kind(app.objects, "ConfigMap") if each.name.startswith(f"{app.service.name}-settings")]
