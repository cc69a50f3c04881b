"""The same columns from InfluxDB, by InfluxQL over HTTP: versions 1.8, 2 and 3 answer it."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from coolcap_agent.savings.log import NEEDED, Log, SavingsError, columns, only_site

CALL_DEADLINE_S: Final = 60.0


def read_influx(
    client: httpx.Client, *, bucket: str, start_s: float, end_s: float, site: str = ""
) -> tuple[str, Log]:
    """Read a span of the log from a database; return the site it is of and what it holds.

    Args:
        client: Reaches the database, with its token.
        bucket: Bucket, or database of version 1.
        start_s: Begin of the span.
        end_s: End of the span, exclusive.
        site: The site meant; empty if the span is of one site only.

    Raises:
        SavingsError: If the database does not answer as it should.
    """
    sites: set[str] = set()
    found = {}
    for name in NEEDED:
        where = f"time >= {round(start_s * 1e9)} AND time < {round(end_s * 1e9)}"
        query = f'SELECT * FROM "{name}" WHERE {where} GROUP BY "site"'
        rows: dict[float, dict[str, float]] = {}
        for series in _ask(client, bucket=bucket, query=query):
            of_site = str(series.get("tags", {}).get("site", ""))
            if site and of_site != site:
                continue
            sites.add(of_site)
            names = series["columns"]
            for values in series["values"]:
                row = dict(zip(names, values, strict=True))
                time_s = float(row.pop("time")) * 1e-9
                rows[time_s] = {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
        found[name] = columns(rows)
    return only_site(sites, site), found


def _ask(client: httpx.Client, *, bucket: str, query: str) -> list[Mapping[str, Any]]:
    try:
        answer = client.get("/query", params={"db": bucket, "q": query, "epoch": "ns"})
        answer.raise_for_status()
        (result,) = answer.json()["results"]
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise SavingsError(
            f"InfluxDB at {client.base_url} did not answer a query of bucket {bucket}: {error}"
        ) from error
    if "error" in result:
        raise SavingsError(f"InfluxDB refused a query of bucket {bucket}: {result['error']}")
    series: list[Mapping[str, Any]] = result.get("series", [])
    return series
