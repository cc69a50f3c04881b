"""A real Prometheus scrapes the daemons' endpoints."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from prometheus_client.registry import Collector

from coolcap_agent.controller.pulse import Pulse
from coolcap_agent.daemon.guard import GuardState
from coolcap_agent.metrics.controller import ControllerMetrics
from coolcap_agent.metrics.endpoint import MetricsEndpoint
from coolcap_agent.metrics.lease import LeaseSeen
from coolcap_agent.metrics.node import NodeMetrics
from coolcap_agent.metrics.plant import PlantMetrics
from coolcap_agent.rpc.address import Address
from support.influx_server import free_port, program
from support.samples import fill_controller, node_sample, plant_sample
from support.small_site import small_site

SCRAPED_WITHIN_S = 20.0
JOBS = ("node", "plant", "controller")


def collectors() -> list[Collector]:
    node, plant = NodeMetrics("node-1"), PlantMetrics("plant-1")
    node.put(node_sample(), LeaseSeen(guard=GuardState.FREE))
    plant.put(plant_sample(), LeaseSeen(guard=GuardState.FREE))
    controller = ControllerMetrics(small_site()[0], Pulse())
    fill_controller(controller)
    return [node, plant, controller]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that has scraped each daemon."""
    command = program("prometheus")
    if command is None:
        pytest.skip("needs Prometheus (scripts/install_test_servers.sh installs it)")
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        lines = ["scrape_configs:"]
        for job, collector in zip(JOBS, collectors(), strict=True):
            endpoint = MetricsEndpoint(Address(host="127.0.0.1", port=0), collector)
            stack.callback(endpoint.close)
            lines.append(
                f"- {{job_name: {job}, scrape_interval: 1s, "
                f'static_configs: [{{targets: ["{endpoint.address}"]}}]}}'
            )
        (folder / "prometheus.yml").write_text("\n".join(lines))
        port = free_port()
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    command,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        stack.callback(server.wait, 10.0)
        stack.callback(server.terminate)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + SCRAPED_WITHIN_S
        while len(answered(url, "up")) < len(JOBS):
            log_text = (folder / "log").read_text(errors="replace")
            assert time.monotonic() < deadline, log_text[-2000:]
            time.sleep(0.1)
        yield url


def answered(url: str, query: str) -> dict[str, float]:
    """Return the values of an instant query by job; nothing while Prometheus starts."""
    text = urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{text}", timeout=5.0) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        return {}
    return {one["metric"].get("job", ""): float(one["value"][1]) for one in found}


def test_every_daemon_is_scraped(prometheus: str) -> None:
    assert answered(prometheus, "up") == dict.fromkeys(JOBS, 1.0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('coolcap_gpu_power_watts{gpu="0",hostname="node-1",modelName="test"}', {"node": 400.0}),
        ("coolcap_plant_facility_power_watts", {"plant": 2340.0}),
        ('coolcap_budget_watts{budget="site"}', {"controller": 2600.0}),
        ('coolcap_mode{coolcap_mode="shadow"}', {"controller": 1.0}),
        (
            "sum by (job) (coolcap_site_facility_energy_joules_total"
            " / coolcap_site_it_energy_joules_total)",
            {"controller": 1.2},
        ),
    ],
)
def test_values_arrive(prometheus: str, query: str, expected: dict[str, float]) -> None:
    assert answered(prometheus, query) == pytest.approx(expected)
