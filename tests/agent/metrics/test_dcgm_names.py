"""Dashboards made for dcgm-exporter find its names, labels and units."""

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from coolcap_agent.daemon.guard import GuardState
from coolcap_agent.metrics.gpu_extras import GpuExtras
from coolcap_agent.metrics.lease import LeaseSeen
from coolcap_agent.metrics.node import NodeMetrics
from support.samples import node_sample


def shown() -> dict[tuple[str, str], float]:
    """Every sample of a node by name and GPU, as a scraper reads it."""
    metrics = NodeMetrics("node-1")
    extras = {"GPU-0": GpuExtras(thermal_ceiling_w=350.0), "GPU-1": GpuExtras(xid=79.0)}
    metrics.put(node_sample(), LeaseSeen(guard=GuardState.FREE), extras)
    registry = CollectorRegistry()
    registry.register(metrics)
    text = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {
        (sample.name, sample.labels["gpu"]): sample.value
        for family in families
        for sample in family.samples
        if "gpu" in sample.labels
    }


def test_readings_have_dcgms_names_and_units() -> None:
    found = shown()

    assert found["DCGM_FI_DEV_POWER_USAGE", "0"] == 400.0
    assert found["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "0"] == 2.0 * 3.6e9
    assert found["DCGM_FI_DEV_GPU_UTIL", "0"] == 90.0
    assert found["DCGM_FI_DEV_SM_CLOCK", "0"] == 1800.0
    assert found["DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "0"] == 450.0


def test_gpu_that_does_not_answer_shows_its_event_and_nothing_else_of_dcgms() -> None:
    names = {name for name, gpu in shown() if gpu == "1" and name.startswith("DCGM")}

    assert names == {"DCGM_FI_DEV_XID_ERRORS"}
    assert shown()["DCGM_FI_DEV_XID_ERRORS", "1"] == 79.0


def test_what_the_thermal_guard_allows_is_shown_while_it_acts() -> None:
    found = shown()

    assert found["coolcap_gpu_thermal_ceiling_watts", "0"] == 350.0
    assert ("coolcap_gpu_thermal_ceiling_watts", "1") not in found
