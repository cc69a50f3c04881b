"""A whole simulated site, as real processes, logs to a real InfluxDB: every panel has data."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coolcap_agent.demo.configs import CONTROL, Files, Scenario, write_configs
from coolcap_envs.contract.layout import Layout
from coolcap_envs.safety.limits import Limits
from support.filled_influx import running_influx
from support.grafana import Range, dashboards, expanded, panel_targets, variable_targets
from support.influx_server import HOW_TO_GET, InfluxServer, QueryError, free_port
from support.running_demo import RunningDemo, running_demo, scenario

pytestmark = [pytest.mark.slow, pytest.mark.influxdb]

DATABASE: Final = "coolcap_test_site"
MINUTES: Final = 30
WITHIN_S: Final = 90.0
CHOSEN: Final = {
    "site": "lab-16",
    "rack": ["rack-01", "rack-02"],
    "group": "node-01/0",
    "lever": "supply_air_temp_setpoint_c",
    "window": "5m",
}
ABSENT: Final = (
    "coolcap-cooling/105 ",  # the site is on air: it has no coolant distribution unit
    "coolcap-cooling/106 ",
)


class Site:
    """The running site, its database, and where the controller shows its metrics."""

    def __init__(self, demo: RunningDemo, influx: InfluxServer, metrics_url: str) -> None:
        self.demo, self.influx, self.metrics_url = demo, influx, metrics_url

    def minutes(self) -> int:
        """Return for how many minutes of site time the database has meters."""
        try:
            (series,) = self.influx.query(
                'SELECT count("it_energy_kwh") AS "n" FROM "facility_1m"', database=DATABASE
            )
        except QueryError:
            return 0
        return int(series[0].columns["n"][0]) if series else 0

    def end_s(self) -> float:
        (series,) = self.influx.query('SELECT last("mode_code") FROM "loop"', database=DATABASE)
        return float(series[0].columns["time"][0]) / 1000.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    metrics = f"127.0.0.1:{free_port()}"
    with running_influx(folder) as influx, pytest.MonkeyPatch.context() as patch:
        if influx is None:
            pytest.skip(HOW_TO_GET)
        influx.create(DATABASE)
        target = influx.target(DATABASE)

        def with_database(to: Path, what: Scenario, layout: Layout, limits: Limits) -> Files:
            files = write_configs(to, what, layout, limits)
            token = files.folder / "token"
            token.write_text(target.token)
            with files.configs[CONTROL].open("a", encoding="utf-8") as config:
                config.write(
                    f'\n[telemetry.influxdb]\nurl = "{target.url}"\norg = "{target.org}"\n'
                    f'bucket = "{target.bucket}"\ntoken_file = "{token}"\n'
                    f'\n[metrics]\nlisten = "{metrics}"\n'
                )
            return files

        patch.setattr("support.running_demo.write_configs", with_database)
        with running_demo(folder, scenario()) as demo:
            found = Site(demo, influx, f"http://{metrics}/metrics")
            took_s = demo.wait(lambda: found.minutes() >= MINUTES, timeout_s=WITHIN_S)
            log = Path(demo.files.folder / "logs" / f"{CONTROL}.log")
            text = log.read_text(errors="replace")[-2000:] if log.is_file() else ""
            assert took_s < WITHIN_S, f"{found.minutes()} minutes are logged:\n{text}"
            yield found


def test_every_panel_and_variable_has_data(site: Site) -> None:
    shown = Range(start_s=site.end_s() - MINUTES * 60.0, end_s=site.end_s())
    empty = []
    for board in dashboards().values():
        targets = [*panel_targets(board), *(target for _, target in variable_targets(board))]
        for target in targets:
            (series,) = site.influx.query(expanded(target, shown, CHOSEN), database=DATABASE)
            if not series and not target.place.startswith(ABSENT):
                empty.append(target.place)

    assert empty == []


def test_file_and_database_hold_the_same(site: Site) -> None:
    """The site logs to a file, too: each of its lines, but the newest, is in the database."""
    lines = site.demo.files.telemetry.read_bytes().splitlines()
    stamps = {int(line.rsplit(b" ", 1)[1]) for line in lines if line.startswith(b"facility,")}
    sent = {at_ns for at_ns in stamps if at_ns < (site.end_s() - 60.0) * 1e9}

    (series,) = site.influx.query(
        'SELECT "it_power_w" FROM "facility"', database=DATABASE, epoch="ns"
    )

    assert len(sent) > MINUTES
    assert sent <= set(series[0].columns["time"])


def test_controller_shows_the_site_to_scrapers(site: Site) -> None:
    with urllib.request.urlopen(site.metrics_url, timeout=10.0) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found = {s.name: float(s.value) for family in families for s in family.samples}

    assert found["coolcap_agents_connected"] == found["coolcap_agents"] == 5.0
    assert 1_000.0 < found["coolcap_site_it_power_watts"] < 20_000.0
    assert found["coolcap_log_dropped_lines_total"] == 0.0
