"""What is used of ``grafana-foundation-sdk``, which only development needs, and InfluxDB's query.

The SDK has no type for InfluxDB's query. What it has for classic dashboards warns on import
in favour of a format that only Grafana 12 and later read.
"""

import warnings
from typing import Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.text import TextMode

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import common, stat, statetimeline, table, text, timeseries
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.models import dashboard as models

from coolcap_agent.dashboards.influxql import Query

__all__ = [
    "DATASOURCE",
    "DATASOURCE_UID",
    "Builder",
    "InfluxQuery",
    "JSONEncoder",
    "TextMode",
    "builders",
    "common",
    "common_models",
    "models",
    "stat",
    "statetimeline",
    "table",
    "text",
    "timeseries",
]

DATASOURCE_UID: Final = "coolcap-influxdb"
"""Fixed, because alert rules cannot follow a dashboard's variable."""
DATASOURCE: Final = common_models.DataSourceRef(type_val="influxdb", uid=DATASOURCE_UID)


class InfluxQuery(Dataquery, Builder[Dataquery]):
    """A query of InfluxDB's data source, in InfluxQL."""

    def __init__(self, query: Query, *, ref_id: str) -> None:
        self._query = query
        self._ref_id = ref_id

    def build(self) -> Dataquery:
        """Return itself: it is its own builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return what Grafana stores of it."""
        model: dict[str, object] = {
            "refId": self._ref_id,
            "datasource": DATASOURCE,
            "query": self._query.text,
            "rawQuery": True,
            "resultFormat": "table" if self._query.is_table else "time_series",
        }
        if not self._query.is_table:
            model["alias"] = self._query.alias
        return model
