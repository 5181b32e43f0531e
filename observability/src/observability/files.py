"""The files of platform/ that are written from here."""

import json
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from observability.dashboards import dashboards
from observability.objectives import objectives
from observability.rules import rules

_HEAD = """\
# Written by .venv/bin/python -m observability, from loadtests/slo.yaml and observability/.
# yamllint disable rule:line-length
"""


def written(root: Path) -> dict[Path, str]:
    """Return what belongs into the files of platform/, by their paths there."""
    boards = {Path("dashboards", f"{name}.json"): _json(model(each)) for name, each in dashboards().items()}
    found = rules(objectives(root / "loadtests" / "slo.yaml"))
    return {**boards, Path("alerts", "rules.yaml"): _HEAD + yaml.safe_dump(found, sort_keys=False, width=190)}


def model(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it, with panels numbered in their order."""
    built: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(dashboard.build()))
    for number, panel in enumerate(built["panels"], start=1):
        panel["id"] = number
    return built


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
