"""Variables of dashboards: what the reader chooses from."""

from typing import Final

from coolcap_agent.dashboards.influxql import tag_values
from coolcap_agent.dashboards.sdk import DATASOURCE, builders, models
from coolcap_agent.telemetry_log.schema import FACILITY

WINDOWS: Final = ("5m", "15m", "1h", "6h", "1d")
WINDOW_DEFAULT: Final = "1h"
RACK_CHOSEN: Final = '"rack" =~ /^$rack$/'
"""Condition on the racks chosen. There is no "all": hundreds of lines tell nobody anything, and a
week of them is more than a database reads in a second."""

Variable = builders.QueryVariable | builders.CustomVariable


def site_variable() -> builders.QueryVariable:
    """Return the variable every dashboard has."""
    return _query_variable("site", "Site", tag_values(FACILITY, "site"))


def _query_variable(name: str, label: str, query: str) -> builders.QueryVariable:
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
    )


def one_of(name: str, label: str, query: str) -> builders.QueryVariable:
    """Return a variable with one of the values ``query`` gives."""
    return _query_variable(name, label, query)


def several_of(name: str, label: str, query: str) -> builders.QueryVariable:
    """Return a variable with one or several of the values ``query`` gives."""
    return _query_variable(name, label, query).multi(True)


def window_variable() -> builders.CustomVariable:
    """Return the variable for the length of a meter's window."""
    options = [
        models.VariableOption(text=w, value=w, selected=w == WINDOW_DEFAULT) for w in WINDOWS
    ]
    current = models.VariableOption(text=WINDOW_DEFAULT, value=WINDOW_DEFAULT, selected=True)
    return (
        builders.CustomVariable("window")
        .label("Window")
        .values(",".join(WINDOWS))
        .options(options)
        .current(current)
    )
