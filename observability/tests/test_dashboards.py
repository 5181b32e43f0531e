"""The dashboards as committed: current, whole, and readable by any Grafana."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from observability.files import written
from observability.queries import expressions, metrics_of, panels

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.requirement("GRAPHS-001")
@pytest.mark.parametrize("path", written(ROOT), ids=str)
def test_what_is_committed_is_what_the_code_writes(path: Path) -> None:
    assert (ROOT / "platform" / path).read_text() == written(ROOT)[path], "run .venv/bin/python -m observability"


@pytest.mark.requirement("GRAPHS-001")
def test_every_dashboard_is_delivered_under_a_name_and_an_address_of_its_own(
    every_dashboard: dict[str, dict[str, Any]],
) -> None:
    for field in ("uid", "title"):
        assert len({each[field] for each in every_dashboard.values()}) == len(every_dashboard) == 5
    delivered = yaml.safe_load((ROOT / "platform" / "dashboards" / "kustomization.yaml").read_text())
    assert {file for each in delivered["configMapGenerator"] for file in each["files"]} == {
        f"{name}.json" for name in every_dashboard
    }
    assert delivered["generatorOptions"]["labels"] == {"grafana_dashboard": "1"}


@pytest.mark.requirement("GRAPHS-001")
def test_a_dashboard_asks_for_its_data_source_and_names_none(dashboard: dict[str, Any]) -> None:
    source, namespace = dashboard["templating"]["list"]
    assert (source["type"], source["query"], source["name"]) == ("datasource", "prometheus", "datasource")
    assert namespace["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(dashboard):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@pytest.mark.requirement("GRAPHS-001")
def test_every_panel_has_a_unit_a_meaning_and_named_series(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(dashboard):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references), panel["title"]
        assert panel["type"] == "stat" or all(target["legendFormat"] for target in panel["targets"]), panel["title"]


@pytest.mark.requirement("GRAPHS-001")
def test_no_panel_lies_on_another_or_runs_out_of_the_grid(dashboard: dict[str, Any]) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard["panels"]]
    assert [title for title, place in places if place["x"] + place["w"] > 24] == []
    overlapping = [
        (one, other)
        for (one, a), (other, b) in combinations(places, 2)
        if a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    ]
    assert overlapping == []


@pytest.mark.requirement("GRAPHS-002")
def test_every_query_is_promql_of_the_chosen_namespace(dashboard: dict[str, Any]) -> None:
    """What is the mesh's or the cluster's own, such as istiod, has no namespace of ours."""
    shared = {
        "citadel_server_root_cert_expiry_timestamp",
        "pilot_proxy_convergence_time_bucket",
        "pilot_total_xds_rejects",
    }
    for title, expression in expressions(dashboard):
        read = metrics_of(expression)
        assert read or "__name__=~" in expression, title
        if not read & shared:
            assert 'namespace=~"$namespace"' in expression, title


@pytest.mark.requirement("GRAPHS-004")
def test_runbooks_that_dashboards_name_exist(dashboard: dict[str, Any]) -> None:
    words = " ".join(panel["description"] for panel in panels(dashboard)).split()
    named = {word.strip(".,:;") for word in words if word.startswith("docs/")}
    assert {name for name in named if not (ROOT / name).is_file()} == set()
