"""A dashboard under construction: panels in reading order, each with an id that stays."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from coolcap_agent.dashboards import look
from coolcap_agent.dashboards.influxql import Query
from coolcap_agent.dashboards.sdk import (
    DATASOURCE,
    InfluxQuery,
    JSONEncoder,
    TextMode,
    builders,
    common,
    common_models,
    models,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from coolcap_agent.dashboards.variables import Variable, site_variable
from coolcap_agent.dashboards.wording import description, grafana_unit, min_interval
from coolcap_agent.telemetry_log.schema import EVENT

TAG: Final = "coolcap"
GRID_WIDTH: Final = 24
ANNOTATION: Final = (
    f'SELECT "message", "code" FROM "{EVENT.name}" WHERE $timeFilter AND "site" =~ /^$site$/ '
    "AND \"code\" = 'mode'"
)
"""Marks changes of mode on every graph."""

_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel, table.Panel, statetimeline.Panel)
_Placed = TypeVar(
    "_Placed", stat.Panel, timeseries.Panel, table.Panel, statetimeline.Panel, text.Panel
)
Mappings = list[models.ValueMapping]


def _thresholds(steps: look.Steps) -> builders.ThresholdsConfig:
    found = [models.Threshold(value=value, color=colour) for value, colour in steps]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


class Board:
    """Collects panels and gives the dashboard's JSON.

    Args:
        uid: Stays for ever: links and alert rules hold on to it.
        title: Its name in Grafana.
        about: What it is for.
        range_from: Range shown at first, for example ``now-1h``.
        refresh: How often it asks anew.
        variables: Beside the site.
    """

    def __init__(
        self,
        *,
        uid: str,
        title: str,
        about: str,
        range_from: str,
        refresh: str,
        variables: Sequence[Variable] = (),
    ) -> None:
        self.uid = uid
        self._board = (
            builders.Dashboard(title)
            .uid(uid)
            .description(about)
            .tags([TAG])
            .editable()
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .time(range_from, "now")
            .refresh(refresh)
            .timezone("browser")
            .variables([site_variable(), *variables])
            .link(
                builders.DashboardLink("coolcap")
                .type(models.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(True)
                .include_vars(True)
                .keep_time(True)
            )
        )
        self._ids: set[int] = set()
        self._x = self._y = self._row_height = 0

    def row(self, id_: int, title: str) -> None:
        """Begin a row with a heading."""
        self._break()
        place = models.GridPos(h=1, w=GRID_WIDTH, x=0, y=self._y)
        self._board.with_row(builders.Row(title).id(self._new(id_)).grid_pos(place))
        self._y += 1

    def stat(
        self,
        id_: int,
        title: str,
        what: str,
        query: Query,
        *,
        width: int = 4,
        unit: str = "",
        decimals: int | None = None,
        steps: look.Steps = ((None, look.NEUTRAL),),
        mappings: Mappings | None = None,
    ) -> None:
        """Add one figure, large."""
        reduce = common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")
        panel = (
            self._dressed(stat.Panel(), title, what, [query], unit=unit)
            .thresholds(_thresholds(steps))
            .color_mode(common_models.BigValueColorMode.VALUE)
            .graph_mode(common_models.BigValueGraphMode.NONE)
            .reduce_options(reduce)
        )
        if decimals is not None:
            panel = panel.decimals(decimals)
        if mappings is not None:
            panel = panel.mappings(mappings)
        self._add(panel, id_, width, 4)

    def graph(
        self,
        id_: int,
        title: str,
        what: str,
        *queries: Query,
        width: int = 12,
        height: int = 8,
        unit: str = "",
        decimals: int | None = None,
        style: Literal["lines", "stack", "bars", "stacked bars", "steps"] = "lines",
        steps: look.Steps | None = None,
        zero: bool = False,
    ) -> None:
        """Add values over time.

        Args:
            id_: Id of the panel on its dashboard.
            title: Its title.
            what: What it shows.
            queries: Their series are drawn in order.
            width: Columns of 24.
            height: Rows.
            unit: Grafana's unit where it is not that of the first field.
            decimals: Decimals shown.
            style: How series are drawn.
            steps: Colours of the background from a value upwards.
            zero: Whether the axis begins at 0.
        """
        legend = (
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
        panel = (
            self._dressed(timeseries.Panel(), title, what, queries, unit=unit)
            .legend(legend)
            .tooltip(tooltip.sort(common_models.SortOrder.NONE))
            .show_points(common_models.VisibilityMode.AUTO)
            .span_nulls(False)
            .line_width(1.0)
        )
        if style in ("bars", "stacked bars"):
            panel = panel.draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(80.0)
        if style in ("stack", "stacked bars"):
            stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
            panel = panel.stacking(stacking).fill_opacity(60.0)
        if style == "steps":
            panel = panel.line_interpolation(common_models.LineInterpolation.STEP_AFTER)
        if steps is not None:
            area = common.GraphThresholdsStyleConfig().mode(
                common_models.GraphThresholdsStyleMode.AREA
            )
            panel = panel.thresholds(_thresholds(steps)).thresholds_style(area)
        if zero:
            panel = panel.min(0.0)
        if decimals is not None:
            panel = panel.decimals(decimals)
        self._add(panel, id_, width, height)

    def table(
        self,
        id_: int,
        title: str,
        what: str,
        query: Query,
        *,
        width: int = 12,
        height: int = 8,
        units: Mapping[str, str] | None = None,
        mappings: Mapping[str, Mappings] | None = None,
        steps: Mapping[str, look.Steps] | None = None,
        keeps_time: bool = False,
    ) -> None:
        """Add a table; the unit of each column is that of its field.

        Args:
            id_: Id of the panel on its dashboard.
            title: Its title.
            what: What it shows.
            query: Gives a row per combination of its tags.
            width: Columns of 24.
            height: Rows.
            units: Grafana's unit of columns that are no field, such as ratios.
            mappings: Words for codes by column.
            steps: Colours by column.
            keeps_time: Whether the time of a row means something.
        """
        panel = self._dressed(table.Panel(), title, what, [query], unit="short")
        columns = {s.column: grafana_unit(s.field) for s in query.sources}
        for column, column_unit in {**columns, **(units or {})}.items():
            properties = [models.DynamicConfigValue("unit", column_unit)]
            if mappings and column in mappings:
                properties.append(models.DynamicConfigValue("mappings", mappings[column]))
                cell = {"type": "color-text"}
                properties.append(models.DynamicConfigValue("custom.cellOptions", cell))
            if steps and column in steps:
                thresholds = _thresholds(steps[column]).build()
                properties.append(models.DynamicConfigValue("thresholds", thresholds))
                cell = {"type": "color-text"}
                properties.append(models.DynamicConfigValue("custom.cellOptions", cell))
            panel = panel.override_by_name(column, properties)
        if not keeps_time:
            options = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {}}
            panel = panel.with_transformation(
                models.DataTransformerConfig("organize", options=options)
            )
        self._add(panel.filterable(True), id_, width, height)

    def timeline(
        self, id_: int, title: str, what: str, query: Query, *, mappings: Mappings, width: int = 24
    ) -> None:
        """Add a band that shows which state held when."""
        panel = (
            self._dressed(statetimeline.Panel(), title, what, [query], unit="short")
            .mappings(mappings)
            .show_value(common_models.VisibilityMode.AUTO)
            .merge_values(True)
        )
        self._add(panel, id_, width, 4)

    def text(self, id_: int, title: str, markdown: str, *, height: int = 5) -> None:
        """Add words."""
        panel = text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown)
        self._add(panel, id_, GRID_WIDTH, height)

    def json(self) -> str:
        """Return the dashboard as Grafana stores it, the same text every time."""
        model: dict[str, Any] = json.loads(json.dumps(self._board.build(), cls=JSONEncoder))
        for variable in model["templating"]["list"]:
            # The SDK writes them for every kind of variable, Grafana's schema knows them for one.
            for key in ("auto", "auto_min", "auto_count"):
                variable.pop(key, None)
        for panel in model["panels"]:
            # Grafana took the footer out of a table's options.
            panel.get("options", {}).pop("footer", None)
        model["annotations"] = {"list": [_mode_annotation()]}
        return json.dumps(model, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def _dressed(
        self, panel: _Panel, title: str, what: str, queries: Sequence[Query], *, unit: str
    ) -> _Panel:
        panel = panel.title(title).description(description(what, queries)).datasource(DATASOURCE)
        panel = panel.unit(unit or grafana_unit(queries[0].sources[0].field))
        if interval := min_interval(queries):
            panel = panel.interval(interval)
        for i, query in enumerate(queries):
            panel = panel.with_target(InfluxQuery(query, ref_id=chr(ord("A") + i)))
        return panel

    def _add(self, panel: _Placed, id_: int, width: int, height: int) -> None:
        if self._x + width > GRID_WIDTH:
            self._break()
        place = models.GridPos(h=height, w=width, x=self._x, y=self._y)
        self._board.with_panel(panel.id(self._new(id_)).grid_pos(place))
        self._x += width
        self._row_height = max(self._row_height, height)

    def _break(self) -> None:
        self._y += self._row_height
        self._x = self._row_height = 0

    def _new(self, id_: int) -> int:
        if id_ in self._ids:
            raise ValueError(f"panel id {id_} stands twice on {self.uid}")
        self._ids.add(id_)
        return id_


def _mode_annotation() -> dict[str, object]:
    """Return the marks of changes of mode; the plugin keeps its query beside the target."""
    return {
        "datasource": json.loads(json.dumps(DATASOURCE, cls=JSONEncoder)),
        "enable": True,
        "hide": False,
        "iconColor": "purple",
        "name": "Mode",
        "query": ANNOTATION,
        "textColumn": "message",
        "tagsColumn": "code",
        "target": {"refId": "Anno", "query": ANNOTATION, "rawQuery": True},
    }
