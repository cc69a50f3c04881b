"""Time every query of the dashboards on a week of data of 1,250 nodes, on a real InfluxDB.

``make bench-dashboards`` fills a database and prints the slowest queries. Generated is what the
recorder would have written and panels read: the site by the second, racks by the minute, single
groups and GPUs at their period where a panel looks at one, and the newest hour of all of them.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from coolcap_agent.sink.influx import influx_post
from coolcap_agent.sink.line_protocol import Series, series_key
from coolcap_agent.telemetry_log import schema
from coolcap_envs.contract.levers import PLANT_LEVERS
from support.big_hall import START_S, big_site
from support.grafana import (
    Range,
    Target,
    alert_rules,
    alert_target,
    dashboards,
    expanded,
    panel_targets,
    variable_targets,
)
from support.influx_server import HOW_TO_GET, LocalInfluxServer, can_start

DATABASE = "coolcap_test_week"
DAY_S = 86_400
LIMIT_S = 1.0
ROWS_PER_REQUEST = 5000
Write = Callable[[bytes], None]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Week:
    """Writes a week of a site.

    Args:
        write: Takes lines.
        nodes: Servers of eight GPUs.
        days: How many days.
    """

    def __init__(self, write: Write, *, nodes: int, days: int) -> None:
        self._write = write
        self._rng = np.random.default_rng(1)
        self.layout, _ = big_site(nodes)
        self.end_s = START_S
        self.start_s = START_S - days * DAY_S
        self.rows = 0

    def _fields(self, fields: Sequence[schema.Field], count: int, at_s: float) -> np.ndarray:
        values = self._rng.normal(100.0, 5.0, (count, len(fields)))
        elapsed_h = (at_s - self.start_s) / 3600.0
        for i, field in enumerate(fields):
            if field.kind is schema.Kind.COUNTER:
                values[:, i] = 1000.0 + 100.0 * elapsed_h
            elif field.kind is schema.Kind.STATE:
                values[:, i] = 1.0
        return values

    def fill(
        self,
        measurement: schema.Measurement,
        tags: Sequence[dict[str, str]],
        *,
        period_s: float,
        start_s: float | None = None,
    ) -> None:
        """Write one measurement, every series at its period."""
        fields = [field for field in measurement.fields if field.kind is not schema.Kind.TEXT]
        keys = [series_key(measurement.name, {"site": self.layout.name, **one}) for one in tags]
        series = Series(keys, [field.name for field in fields])
        body: list[bytes] = []
        waiting = 0
        at_s = self.start_s if start_s is None else start_s
        begun = self.rows
        while at_s < self.end_s:
            values = self._fields(fields, len(keys), at_s)
            body.append(series.lines(values, at_ns=round(at_s) * 10**9))
            waiting += len(keys)
            if waiting >= ROWS_PER_REQUEST:
                self._write(b"".join(body))
                body, waiting = [], 0
            self.rows += len(keys)
            at_s += period_s
        if body:
            self._write(b"".join(body))
        say(f"  {measurement.name:12} {len(keys):6d} series, {self.rows - begun:9d} rows")

    def fill_all(self) -> dict[str, str | Sequence[str]]:
        """Write everything; returns what a reader has chosen."""
        layout, recent_s = self.layout, self.end_s - 3600.0
        site: list[dict[str, str]] = [{}]
        places = [
            {"group": g, "node": n, "rack": r}
            for g, n, r in zip(
                layout.group_names, layout.node_names, layout.rack_names, strict=True
            )
        ]
        racks = [{"rack": rack} for rack in layout.racks]
        levers = [
            {"lever": lever.name}
            for lever, present in zip(PLANT_LEVERS, layout.plant_levers, strict=True)
            if present
        ]
        budgets = [{"budget": name} for name in ("site", "row-1", "row-2", "row-3", "row-4")]
        agents = [{"agent": node, "kind": "node"} for node in layout.nodes]
        self.fill(schema.FACILITY, site, period_s=1.0)
        self.fill(schema.FACILITY_1M, site, period_s=60.0)
        self.fill(schema.PLANT_1M, site, period_s=60.0)
        self.fill(schema.METER, [{"mode": "auto"}, {"mode": "shadow"}], period_s=60.0)
        self.fill(schema.RACK_1M, racks, period_s=60.0)
        self.fill(schema.LOOP, site, period_s=10.0)
        self.fill(schema.BUDGET, budgets, period_s=10.0)
        self.fill(schema.DECISION, [{"actor": "policy", "mode": "auto"}], period_s=30.0)
        self.fill(schema.SETPOINT, levers, period_s=30.0)
        for few, period_s in ((schema.GROUP, 10.0), (schema.CAP, 30.0)):
            self.fill(few, places[:4], period_s=period_s)
            self.fill(few, places[4:], period_s=3600.0)
            self.fill(few, places[4:], period_s=period_s, start_s=recent_s)
        self.fill(schema.AGENT, agents, period_s=3600.0)
        self.fill(schema.AGENT, agents, period_s=10.0, start_s=recent_s)
        self.fill(schema.RACK, racks, period_s=10.0, start_s=recent_s)
        self.fill(schema.EVENT, [{"code": "mode", "subject": "auto"}], period_s=1800.0)
        return {
            "site": layout.name,
            "rack": ".*",
            "group": [place["group"] for place in places[:4]],
            "lever": levers[0]["lever"],
            "window": "1h",
        }


def targets() -> list[tuple[Target, bool]]:
    """Return every query, and whether it is an alert's, which looks at its own range."""
    found: list[tuple[Target, bool]] = []
    for board in dashboards().values():
        found += [(target, False) for target in panel_targets(board)]
        found += [(target, False) for _, target in variable_targets(board)]
    return [*found, *((alert_target(rule), True) for rule in alert_rules())]


def measure(server: LocalInfluxServer, *, nodes: int, days: int, repeat: int) -> list[dict]:
    """Fill the database and time each query; returns the rows, the slowest first."""
    server.create(DATABASE)
    post = influx_post(server.target(DATABASE))

    def write(body: bytes) -> None:
        answer = post(body)
        if not answer.taken:
            raise SystemExit(f"the database answered {answer.status}: {answer.message}")

    begun_s = time.monotonic()
    week = Week(write, nodes=nodes, days=days)
    chosen = week.fill_all()
    say(f"{week.rows} rows in {time.monotonic() - begun_s:.0f} s")
    shown = Range(start_s=week.start_s, end_s=week.end_s)
    hour = Range(start_s=week.end_s - 3600.0, end_s=week.end_s)
    rows = []
    for target, alert in targets():
        text = expanded(target, hour if alert else shown, {} if alert else chosen)
        times_s = []
        for _ in range(repeat):
            at_s = time.monotonic()
            (series,) = server.query(text, database=DATABASE)
            times_s.append(time.monotonic() - at_s)
        rows.append(
            {
                "place": target.place,
                "best_s": min(times_s),
                "worst_s": max(times_s),
                "points": sum(len(next(iter(s.columns.values()))) for s in series),
            }
        )
    return sorted(rows, key=lambda row: -row["best_s"])


def main() -> int:
    """Measure and print; returns 0 if every query takes less than a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1250, help="servers of eight GPUs")
    parser.add_argument("--days", type=int, default=7, help="days of data")
    parser.add_argument("--repeat", type=int, default=3, help="times each query is asked")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    chosen = parser.parse_args()
    if not can_start():
        parser.exit(2, f"bench: {HOW_TO_GET}\n")
    with tempfile.TemporaryDirectory(prefix="coolcap-week-") as name:
        server = LocalInfluxServer(Path(name))
        try:
            rows = measure(server, nodes=chosen.nodes, days=chosen.days, repeat=chosen.repeat)
        finally:
            server.stop()
    if chosen.json:
        say(json.dumps(rows, indent=2))
    else:
        say("best s  worst s  points  query")
        for row in rows[:15]:
            say(f"{row['best_s']:6.3f}  {row['worst_s']:7.3f}  {row['points']:6d}  {row['place']}")
    slow = [row["place"] for row in rows if row["best_s"] >= LIMIT_S]
    say(f"{len(rows)} queries, {len(slow)} of {LIMIT_S:g} s or more")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
