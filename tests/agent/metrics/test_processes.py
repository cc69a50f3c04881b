"""Real agents show their metrics, and stop doing so with them."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coolcap_agent import certs
from support.daemons import Agent, DaemonSite, daemon_site, free_port, wait_for


@pytest.fixture
def site(tmp_path: Path) -> Iterator[DaemonSite]:
    pki = certs.make_pki(tmp_path / "pki", agents=["node-1", "plant"])
    with daemon_site(tmp_path, pki) as site:
        yield site


def start_with_metrics(agent: Agent) -> str:
    """Start an agent and return the URL of its metrics."""
    address = f"127.0.0.1:{free_port()}"
    with agent.path.open("a") as config:
        config.write(f'\n[metrics]\nlisten = "{address}"\n')
    agent.start()
    return f"http://{address}/metrics"


def shown(url: str) -> dict[str, float]:
    """Return what is shown, without labels."""
    with urllib.request.urlopen(url, timeout=10.0) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: float(sample.value) for sample in samples}


def test_node_agent_shows_its_gpus_until_it_stops(site: DaemonSite) -> None:
    agent = site.node()
    url = start_with_metrics(agent)
    wait_for(lambda: "coolcap_gpu_up" in shown(url), "no GPU is shown")

    metrics = shown(url)

    assert metrics["coolcap_gpu_up"] == 1.0
    assert metrics["coolcap_gpu_power_limit_watts"] == 500.0
    assert metrics["process_resident_memory_bytes"] > 1e6
    assert agent.end() == 0
    assert f"shows its metrics at {url}" in agent.log.read_text()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5.0)


def test_plant_agent_shows_its_signals(site: DaemonSite) -> None:
    agent = site.plant()
    url = start_with_metrics(agent)
    wait_for(lambda: "coolcap_plant_signal_valid" in shown(url), "no signal is shown")

    assert 0.0 < shown(url)["coolcap_plant_supply_air_temp_celsius"] < 40.0
    assert agent.end() == 0


def test_taken_address_is_told_and_ends_the_start(site: DaemonSite) -> None:
    agent = site.plant()
    with agent.path.open("a") as config:
        config.write(f'\n[metrics]\nlisten = "{agent.address}"\n')

    agent.start_expecting_failure()

    assert f"cannot listen on {agent.address}" in agent.log.read_text()
