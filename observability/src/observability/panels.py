"""The few kinds of panels that our dashboards are made of, so that all of them look and behave alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT = 8
_TAGS = ["fairlead"]


AnyPanel = timeseries.Panel | stat.Panel


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what the series of its answer are called."""

    expression: str
    legend: str = ""


def board(uid: str, title: str, description: str, *, namespaces_of: str) -> dashboard.Dashboard:
    """Begin a dashboard; it is asked for a data source and for a namespace in which a metric is known."""
    return (
        dashboard.Dashboard(f"Fairlead / {title}")
        .uid(f"fairlead-{uid}")
        .description(description)
        .tags(_TAGS)
        .editable()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("10s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Fairlead")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(_TAGS)
            .as_dropdown(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("namespace")
            .label("Namespace")
            .datasource(SOURCE)
            .query(f"label_values({namespaces_of}, namespace)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
    )


def filled(begun: dashboard.Dashboard, rows: Iterable[tuple[str, Iterable[AnyPanel]]]) -> dashboard.Dashboard:
    """Add rows of panels; panels of a row stand side by side as long as they fit."""
    for title, panels in rows:
        begun = begun.with_row(dashboard.Row(title))
        for panel in panels:
            begun = begun.with_panel(panel)
    return begun


def curves(
    title: str,
    unit: str,
    *queries: Query,
    meaning: str,
    width: int = 8,
    stacked: bool = False,
    share: bool = False,
    banded: bool = False,
    limit: float | None = None,
) -> timeseries.Panel:
    """Draw series over time.

    A share lies between 0 and 1; a limit is a line that the series should stay below; of banded series those named
    "lower" and "upper" are the ends of an interval.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .height(_HEIGHT)
        .span(width)
        .line_width(1)
        .fill_opacity(25 if stacked else 0)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .targets([_target(query, name) for query, name in zip(queries, ascii_uppercase, strict=False)])
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if share:
        panel = panel.max(1)
    if banded:
        panel = panel.override_by_regexp(
            "/ (lower|upper)$/", [DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [2, 6]})]
        )
    if limit is not None:
        panel = panel.thresholds(_at_most(limit)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    return panel


def figure(
    title: str, unit: str, query: Query, *, meaning: str, width: int = 4, limit: float | None = None
) -> stat.Panel:
    """Show the last value in large, red from a limit on."""
    return (
        stat.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .unit(unit)
        .height(4)
        .span(width)
        .no_value("-")
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_at_most(limit))
        .targets([_target(query, "A")])
    )


def _target(query: Query, name: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(name).expr(query.expression).legend_format(query.legend).range()


def _at_most(limit: float | None) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color="green")]
    if limit is not None:
        steps.append(Threshold(value=limit, color="red"))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
