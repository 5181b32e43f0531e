"""One module per dashboard."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from observability.dashboards import canary, mesh, quality, services, triton


def dashboards() -> dict[str, Dashboard]:
    """Return all dashboards by the names of their files."""
    return {
        "services": services.dashboard(),
        "triton": triton.dashboard(),
        "canary": canary.dashboard(),
        "quality": quality.dashboard(),
        "mesh": mesh.dashboard(),
    }
