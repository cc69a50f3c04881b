"""What daemons show to scrapers, read back with the parsers of the format."""

import math
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from coolcap_agent.controller.pulse import Pulse
from coolcap_agent.daemon.guard import GuardState
from coolcap_agent.metrics.config import read_metrics_config
from coolcap_agent.metrics.controller import ControllerMetrics
from coolcap_agent.metrics.endpoint import MetricsEndpoint
from coolcap_agent.metrics.lease import LeaseSeen
from coolcap_agent.metrics.naming import metric_name
from coolcap_agent.metrics.node import NodeMetrics
from coolcap_agent.metrics.plant import PlantMetrics
from coolcap_agent.rpc.address import Address, BindError
from coolcap_agent.telemetry_log.schema import FACILITY
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS
from support.influx_server import program
from support.samples import fill_controller, node_sample, plant_sample
from support.small_site import small_site

Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(collector: Collector) -> Found:
    """Return every sample, read back from OpenMetrics."""
    registry = CollectorRegistry()
    registry.register(collector)
    text = as_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    families = parse_openmetrics(text)  # type: ignore[no-untyped-call]
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in families
        for sample in family.samples
    }


def of(found: Found, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def filled() -> list[Collector]:
    node, plant = NodeMetrics("node-1"), PlantMetrics("plant-1")
    node.put(node_sample(), LeaseSeen(guard=GuardState.HELD, remaining_s=12.5))
    plant.put(plant_sample(), LeaseSeen(guard=GuardState.FREE))
    controller = ControllerMetrics(small_site()[0], Pulse())
    fill_controller(controller)
    return [node, plant, controller]


def test_gpus_are_labelled_as_dcgm_exporter_labels_them() -> None:
    found = scraped(filled()[0])
    gpu = {"gpu": "0", "UUID": "GPU-0", "modelName": "test", "hostname": "node-1"}

    assert of(found, "coolcap_gpu_power_watts", **gpu) == 400.0
    assert of(found, "coolcap_gpu_power_limit_watts", **gpu) == 450.0
    assert of(found, "coolcap_gpu_sm_clock_hertz", **gpu) == 1.8e9
    assert of(found, "coolcap_gpu_energy_joules_total", **gpu) == pytest.approx(2.0 * 3.6e6)
    assert of(found, "coolcap_gpu_work_gpu_seconds_total", **gpu) == 7200.0
    assert of(found, "coolcap_gpu_up", **gpu) == 1.0
    assert of(found, "coolcap_node_power_watts", hostname="node-1") == 960.0


def test_gpu_that_does_not_answer_is_down_and_shows_no_old_value() -> None:
    found = scraped(filled()[0])
    lost = {"gpu": "1", "UUID": "GPU-1", "modelName": "test", "hostname": "node-1"}

    assert of(found, "coolcap_gpu_up", **lost) == 0.0
    assert ("coolcap_gpu_power_watts", tuple(sorted(lost.items()))) not in found


def test_what_a_device_does_not_say_is_left_out() -> None:
    found = scraped(filled()[0])

    assert not any(name == "coolcap_gpu_memory_temp_celsius" for name, _ in found)
    assert not any(math.isnan(value) for value in found.values())


def test_agents_show_guard_and_lease() -> None:
    node, plant = (scraped(collector) for collector in filled()[:2])

    guard = {"agent": "node-1", "coolcap_agent_guard": "held"}
    assert of(node, "coolcap_agent_guard", **guard) == 1.0
    assert of(node, "coolcap_agent_lease_remaining_seconds", agent="node-1") == 12.5
    guard = {"agent": "plant-1", "coolcap_agent_guard": "free"}
    assert of(plant, "coolcap_agent_guard", **guard) == 1.0
    assert not any("lease_remaining" in name for name, _ in plant)


def test_plant_shows_valid_signals_only() -> None:
    found = scraped(filled()[1])

    assert of(found, "coolcap_plant_it_power_watts", plant="plant-1") == 1920.0
    assert of(found, "coolcap_plant_makeup_water_liters_total", plant="plant-1") == 5.0
    validity = {"plant": "plant-1", "signal": "dew_point_c"}
    assert of(found, "coolcap_plant_signal_valid", **validity) == 0.0
    assert not any(name == "coolcap_plant_dew_point_celsius" for name, _ in found)


def test_controller_shows_the_site_and_no_single_group() -> None:
    found = scraped(filled()[2])

    assert of(found, "coolcap_mode", site="small", coolcap_mode="shadow") == 1.0
    assert of(found, "coolcap_mode", site="small", coolcap_mode="auto") == 0.0
    assert of(found, "coolcap_site_it_power_watts", site="small") == 1920.0
    assert of(found, "coolcap_site_it_energy_joules_total", site="small") == 3.6e6
    assert of(found, "coolcap_budget_watts", site="small", budget="site") == 2600.0
    assert of(found, "coolcap_agents_connected", site="small") == 1.0
    assert of(found, "coolcap_log_dropped_lines_total", site="small") == 3.0
    assert not any("group" in dict(labels) or "gpu" in dict(labels) for _, labels in found)


def test_number_of_series_of_the_controller_does_not_grow_with_the_site() -> None:
    assert len(scraped(filled()[2])) < 130


@pytest.mark.parametrize("make", [NodeMetrics, PlantMetrics])
def test_nothing_is_shown_before_the_first_sample(make: type[NodeMetrics | PlantMetrics]) -> None:
    assert scraped(make("x")) == {}


def test_every_quantity_of_the_house_has_a_base_unit() -> None:
    names = {
        metric_name(name, unit, of="x")[0]
        for name, unit in (
            *((s.name, s.unit) for s in (*GROUP_SIGNALS, *PLANT_SIGNALS)),
            *((f.name, f.unit) for f in FACILITY.fields if not f.name.endswith("_count")),
        )
    }

    assert "coolcap_x_facility_energy_joules" in names
    assert "coolcap_x_price_usd_per_joule" in names
    assert "coolcap_x_inlet_temp_max_celsius" in names
    assert not any(name.endswith(("_w", "_c", "_kwh", "_k", "_l")) for name in names)


@pytest.mark.parametrize("index", [0, 1, 2], ids=["node", "plant", "controller"])
def test_prometheus_finds_nothing_to_complain_about(index: int) -> None:
    promtool = program("promtool")
    if promtool is None:
        pytest.skip("needs promtool (scripts/install_test_servers.sh installs prometheus)")
    registry = CollectorRegistry()
    registry.register(filled()[index])

    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=as_text(registry),
        capture_output=True,
        check=False,
        timeout=30,
    )

    said = (done.stdout + done.stderr).decode().splitlines()
    # dcgm-exporter's label is modelName, and dashboards made for it shall find it.
    assert [line for line in said if "label names should be written" not in line] == []


@pytest.fixture
def endpoint() -> Iterator[MetricsEndpoint]:
    served = MetricsEndpoint(Address(host="127.0.0.1", port=0), filled()[2])
    yield served
    served.close()


def get(endpoint: MetricsEndpoint, accept: str) -> tuple[str, str]:
    request = urllib.request.Request(
        f"http://{endpoint.address}/metrics", headers={"Accept": accept}
    )
    with urllib.request.urlopen(request, timeout=10.0) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_scraper_gets_the_format_it_asks_for(endpoint: MetricsEndpoint) -> None:
    kind, text = get(endpoint, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    families = parse_openmetrics(text)  # type: ignore[no-untyped-call]
    assert "coolcap_mode" in {family.name for family in families}

    kind, text = get(endpoint, "text/plain")
    assert kind.startswith("text/plain")
    names = {family.name for family in parse_text(text)}
    assert {"coolcap_site_it_power_watts", "process_resident_memory_bytes"} <= names


def test_address_that_is_taken_is_refused_with_the_reason(endpoint: MetricsEndpoint) -> None:
    with pytest.raises(BindError, match="in use"):
        MetricsEndpoint(endpoint.address, filled()[0])


def test_endpoint_that_is_closed_answers_no_more() -> None:
    endpoint = MetricsEndpoint(Address(host="127.0.0.1", port=0), filled()[0])
    endpoint.close()

    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{endpoint.address}/metrics", timeout=5.0)


def root(**tables: object) -> Table:
    return Table(dict(tables), path="", problems=[])


def test_metrics_are_off_unless_the_config_says_where() -> None:
    assert read_metrics_config(root()) is None
    table = root(metrics={"listen": "127.0.0.1:9464"})
    assert read_metrics_config(table) == Address(host="127.0.0.1", port=9464)
    assert table.problems == []


@pytest.mark.parametrize("given", [{"listen": "9464"}, {}, {"listen": "[::1]:1", "port": 2}])
def test_bad_config_of_metrics_is_refused(given: dict[str, object]) -> None:
    table = root(metrics=given)

    read_metrics_config(table)

    assert any("metrics" in problem for problem in table.problems)


@pytest.mark.parametrize("kind", ["node", "plant"])
def test_metrics_of_an_agent_load_no_arrays(kind: str) -> None:
    """An agent is to stay small: numpy alone is a fifth of what it may use."""
    code = f"import sys, coolcap_agent.metrics.{kind}; sys.exit('numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
