"""Panel builders in the common style: each takes a frame and queries, and returns a builder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final, TypeAlias, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.style import NEUTRAL, Steps, thresholds

DATASOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel: TypeAlias = stat.Panel | timeseries.Panel | table.Panel | statetimeline.Panel | bargauge.Panel
Mappings: TypeAlias = Sequence[dashboard.ValueMapping]
_P = TypeVar("_P", stat.Panel, timeseries.Panel, table.Panel, statetimeline.Panel, bargauge.Panel)


@dataclass(frozen=True, slots=True)
class Frame:
    """Settings of every panel. `width` is in 24ths of the row; `empty` is shown instead of no data."""

    title: str
    description: str
    unit: str = "short"
    width: int = 12
    height: int = 8
    steps: Steps = NEUTRAL
    mappings: Mappings = ()
    empty: str = "-"
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Tile(Frame):
    """Settings of a small panel; six fit in a row."""

    width: int = 4
    height: int = 4


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its field, title and format."""

    name: str
    title: str
    unit: str = "string"
    steps: Steps | None = None
    mappings: Mappings = ()
    link: str = ""
    gauge: bool = False
    coloured: bool = False
    decimals: int | None = None


Query: TypeAlias = tuple[str, str]
"""An expression and the legend of its series."""


def stats(frame: Frame, *queries: Query) -> stat.Panel:
    """Build a panel of single current values."""
    panel = _framed(stat.Panel(), frame, [_query(*query).instant() for query in queries])
    return (
        panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
    )


def words(frame: Frame, query: Query, colours: Mapping[str, str]) -> stat.Panel:
    """Build a panel of the name of the only series, in its colour."""
    panel = stats(frame, query).text_mode(BigValueTextMode.NAME)
    for name, colour in colours.items():
        panel.override_by_name(name, [_property("color", {"mode": "fixed", "fixedColor": colour})])
    return panel


def bars(frame: Frame, *queries: Query) -> bargauge.Panel:
    """Build a panel of bars of current values."""
    panel = _framed(bargauge.Panel(), frame, [_query(*query).instant() for query in queries])
    return (
        panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .orientation(VizOrientation.HORIZONTAL)
        .min(0)
    )


def graph(frame: Frame, *queries: Query, wide_legend: bool = False) -> timeseries.Panel:
    """Build a graph over time; thresholds other than the neutral one are dashed lines."""
    shown = GraphTresholdsStyleMode.OFF if len(frame.steps) == 1 else GraphTresholdsStyleMode.DASHED
    legend = common.VizLegendOptions().show_legend(show_legend=True)
    if wide_legend:
        legend = (
            legend.display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.RIGHT)
            .calcs(["lastNotNull"])
            .sort_by("Last *")
            .sort_desc(sort_desc=True)
        )
    else:
        legend = legend.display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).calcs([])
    panel = _framed(timeseries.Panel(), frame, [_query(*query).range() for query in queries])
    return (
        panel.color_scheme(FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(shown))
        .legend(legend)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .show_points(VisibilityMode.NEVER)
        .line_width(1)
        .fill_opacity(10)
        .axis_soft_min(0)
    )


def bars_over_time(frame: Frame, *queries: Query) -> timeseries.Panel:
    """Build a graph of stacked bars, one per point, for numbers of events since the previous point."""
    panel = stacked(graph(frame, *queries, wide_legend=True)).interval("1m")
    return panel.draw_style(GraphDrawStyle.BARS)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the series of a graph."""
    return panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(70).line_width(0)


def painted(panel: timeseries.Panel, colours: Mapping[str, str]) -> timeseries.Panel:
    """Set the colours of series by name."""
    for name, colour in colours.items():
        panel.override_by_name(name, [_property("color", {"mode": "fixed", "fixedColor": colour})])
    return panel


def dashed(panel: timeseries.Panel, name: str, colour: str) -> timeseries.Panel:
    """Draw a series as a dashed line without an area, for limits and totals."""
    return panel.override_by_name(
        name,
        [
            _property("color", {"mode": "fixed", "fixedColor": colour}),
            _property("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
            _property("custom.fillOpacity", 0),
        ],
    )


def in_unit(panel: timeseries.Panel, name: str, unit: str) -> timeseries.Panel:
    """Draw a series in another unit, on the right axis."""
    return panel.override_by_name(name, [_property("unit", unit), _property("custom.axisPlacement", "right")])


def linked(panel: timeseries.Panel, url: str) -> timeseries.Panel:
    """Link each series to the dashboard of its server."""
    return panel.override_by_regexp(".*", [_links(url)])


def timeline(frame: Frame, queries: Sequence[Query], mappings: Mapping[str, Mappings]) -> statetimeline.Panel:
    """Build a timeline with a row for each series, and the mappings of the values of each row."""
    panel = _framed(statetimeline.Panel(), frame, [_query(*query).range() for query in queries])
    for title, of_row in mappings.items():
        panel.override_by_name(title, [_property("mappings", list(of_row))])
    return (
        panel.color_scheme(FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .legend(common.VizLegendOptions().show_legend(show_legend=False).display_mode(LegendDisplayMode.LIST))
        .show_value(VisibilityMode.AUTO)
        .merge_values(merge_values=True)
        .fill_opacity(90)
        .line_width(0)
    )


def rows(
    frame: Frame,
    columns: Sequence[Column],
    *expressions: str,
    key: str = "server_id",
    required: str = "",
    sort_by: str = "",
    descending: bool = True,
) -> table.Panel:
    """Build a table of the columns in this order.

    The field of a single expression is `Value`. The fields of several are `Value #A`, `Value #B` and so on;
    their rows are joined by the label `key`, the only label that they may have in common. Rows without a value in the
    field `required` are left out, so that only one of the queries has to select them.
    """
    queries = [_query(expression).instant().format(PromQueryFormat.TABLE) for expression in expressions]
    panel = _framed(table.Panel(), frame, queries).show_header(show_header=True)
    panel.color_scheme(FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    if len(expressions) > 1:
        panel.with_transformation(_transformation("joinByField", byField=key, mode="outer"))
    if required:
        is_set = {"fieldName": required, "config": {"id": "isNotNull", "options": {}}}
        panel.with_transformation(_transformation("filterByValue", filters=[is_set], type="include", match="all"))
    names = [column.name for column in columns]
    panel.with_transformation(_transformation("filterFieldsByName", include={"names": names}))
    panel.with_transformation(
        _transformation("organize", indexByName={name: place for place, name in enumerate(names)}),
    )
    for column in columns:
        panel.override_by_name(column.name, _column_properties(column))
    if sort_by:
        panel.sort_by([common.TableSortByFieldState().display_name(sort_by).desc(descending)])
    return panel


def _framed(panel: _P, frame: Frame, queries: Sequence[Dataquery]) -> _P:
    panel.title(frame.title).description(frame.description).datasource(DATASOURCE)
    panel.unit(frame.unit).span(frame.width).height(frame.height).no_value(frame.empty)
    panel.thresholds(thresholds(frame.steps)).mappings(list(frame.mappings))
    if frame.decimals is not None:
        panel.decimals(frame.decimals)
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(query.ref_id(letter).datasource(DATASOURCE))
    return panel


def _query(expression: str, legend: str = "") -> Dataquery:
    return Dataquery().expr(expression).legend_format(legend)


def _column_properties(column: Column) -> list[dashboard.DynamicConfigValue]:
    properties = [_property("displayName", column.title), _property("unit", column.unit)]
    if column.steps:
        properties.append(_property("thresholds", thresholds(column.steps).build()))
    if column.mappings:
        properties.append(_property("mappings", list(column.mappings)))
    if column.decimals is not None:
        properties.append(_property("decimals", column.decimals))
    if column.gauge:
        properties += [_property("min", 0), _property("max", 1)]
        properties.append(_property("custom.cellOptions", {"type": "gauge", "mode": "basic"}))
    elif column.coloured:
        properties.append(_property("custom.cellOptions", {"type": "color-text"}))
    if column.link:
        properties.append(_links(column.link))
    return properties


def _links(url: str) -> dashboard.DynamicConfigValue:
    title = "Open the runbook" if "runbooks" in url else "Show this server"
    return _property("links", [{"title": title, "url": url}])


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def _transformation(name: str, **options: object) -> dashboard.DataTransformerConfig:
    return dashboard.DataTransformerConfig(id_val=name, options=options)
