"""Time every query of the dashboards on a week of data of 1,250 nodes, on a real InfluxDB.

``make bench-dashboards`` fills a database and prints the slowest queries, with the CPU time of the
database beside the time of the clock, for machines that do other things, too. Generated is what the
recorder would have written and panels read: the site by the second, the racks and groups a reader
has chosen at their period, all others at theirs in the newest hour and by the hour before.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from coolcap_agent.sink.influx import influx_post
from coolcap_agent.sink.line_protocol import series_key
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
VARIANT_COUNT = 997
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
        self._queries = [target.query for target, _ in targets()]
        self._rng = np.random.default_rng(1)
        self.layout, _ = big_site(nodes)
        self.end_s = START_S
        self.start_s = START_S - days * DAY_S
        self.rows = 0

    def fill(
        self,
        measurement: schema.Measurement,
        tags: Sequence[dict[str, str]],
        *,
        period_s: float,
        start_s: float | None = None,
    ) -> None:
        """Write one measurement, every series at its period; only fields that are ever read.

        A database that keeps columns apart reads no others, so leaving them out changes no time.
        """
        read = " ".join(q for q in self._queries if f'FROM "{measurement.name}"' in q)
        fields = [field for field in measurement.fields if f'"{field.name}"' in read]
        keys = [
            f"{series_key(measurement.name, {'site': self.layout.name, **one})} ".encode()
            for one in tags
        ]
        gauges = [field.name for field in fields if field.kind is schema.Kind.GAUGE]
        rising = [field.name for field in fields if field.kind is schema.Kind.COUNTER]
        rest = [field.name for field in fields if field.kind is schema.Kind.STATE]
        variants = [
            b"".join(
                f"{name}={value:.6g},".encode() for name, value in zip(gauges, row, strict=True)
            )
            for row in self._rng.normal(100.0, 5.0, (VARIANT_COUNT, len(gauges)))
        ]
        fixed = b"".join(f"{name}=1,".encode() for name in rest)
        body: list[bytes] = []
        at_s = self.start_s if start_s is None else start_s
        begun = self.rows
        while at_s < self.end_s:
            level = 1000.0 + (at_s - self.start_s) / 36.0
            counters = "".join(f"{name}={level:.8g}," for name in rising).encode()
            end = (fixed + counters)[:-1] + f" {round(at_s)}000000000\n".encode()
            if not fixed + counters:
                # The last comma is the gauges' own.
                body += [
                    key + variants[(self.rows + n) % VARIANT_COUNT][:-1] + end
                    for n, key in enumerate(keys)
                ]
            else:
                body += [
                    key + variants[(self.rows + n) % VARIANT_COUNT] + end
                    for n, key in enumerate(keys)
                ]
            self.rows += len(keys)
            if len(body) >= ROWS_PER_REQUEST:
                self._write(b"".join(body))
                body = []
            at_s += period_s
        if body:
            self._write(b"".join(body))
        say(
            f"  {measurement.name:12} {len(keys):6d} series, {len(fields):3d} fields, "
            f"{self.rows - begun:9d} rows"
        )

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
        self.fill(schema.LOOP, site, period_s=10.0)
        self.fill(schema.BUDGET, budgets, period_s=10.0)
        self.fill(schema.DECISION, [{"actor": "policy", "mode": "auto"}], period_s=30.0)
        self.fill(schema.SETPOINT, levers, period_s=30.0)
        for few, series, period_s in (
            (schema.GROUP, places, 10.0),
            (schema.CAP, places, 30.0),
            (schema.RACK_1M, racks, 60.0),
        ):
            self.fill(few, series[:4], period_s=period_s)
            self.fill(few, series[4:], period_s=3600.0)
            self.fill(few, series[4:], period_s=period_s, start_s=recent_s)
        self.fill(schema.AGENT, agents, period_s=3600.0)
        self.fill(schema.AGENT, agents, period_s=10.0, start_s=recent_s)
        self.fill(schema.RACK, racks, period_s=10.0, start_s=recent_s)
        self.fill(schema.EVENT, [{"code": "mode", "subject": "auto"}], period_s=1800.0)
        return {
            "site": layout.name,
            "rack": list(layout.racks[:4]),
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
    post = influx_post(dataclasses.replace(server.target(DATABASE), timeout_s=300.0))

    def write(body: bytes) -> None:
        while not (answer := post(body)).taken:
            if answer.status not in (0, 500, 503):
                raise SystemExit(f"the database answered {answer.status}: {answer.message}")
            time.sleep(1.0)  # busy; the same lines again change nothing

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
        cpu_s = server.cpu_s()
        for _ in range(repeat):
            at_s = time.monotonic()
            (series,) = server.query(text, database=DATABASE, timeout_s=600.0)
            times_s.append(time.monotonic() - at_s)
        cpu_s = (server.cpu_s() - cpu_s) / repeat
        rows.append(
            {
                "place": target.place,
                "best_s": min(times_s),
                "worst_s": max(times_s),
                "cpu_s": cpu_s,
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
        say("best s  worst s  CPU s  points  query")
        for row in rows[:15]:
            say(
                f"{row['best_s']:6.3f}  {row['worst_s']:7.3f}  {row['cpu_s']:5.2f}  "
                f"{row['points']:6d}  {row['place']}"
            )
    slow = [row["place"] for row in rows if row["best_s"] >= LIMIT_S]
    say(f"{len(rows)} queries, {len(slow)} of {LIMIT_S:g} s or more")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
