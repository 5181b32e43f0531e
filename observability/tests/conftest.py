"""Dashboards and rules as they are committed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from local_stack.settings import StackSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=sorted((ROOT / "platform" / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.param.read_text())
    return content


@pytest.fixture(scope="session")
def every_dashboard() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (ROOT / "platform" / "dashboards").glob("*.json")}


@pytest.fixture(scope="session")
def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load((ROOT / "platform" / "alerts" / "rules.yaml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


@pytest.fixture(scope="session")
def foreign() -> set[str]:
    """The metrics of programs that are not ours."""
    found = yaml.safe_load((Path(__file__).parent / "foreign_metrics.yaml").read_text())
    return {name for each in found for name in each["names"]}


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool") or shutil.which("promtool", path=Path.home() / ".cache" / "fairlead" / "bin")
    if found is None:
        reason = "no promtool here: tools/install_promtool unpacks Debian's"
        if StackSettings.read().environment.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
