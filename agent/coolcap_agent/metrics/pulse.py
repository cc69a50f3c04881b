"""Metrics of the controller's own time: ticks and delays of commands."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily, Metric

from coolcap_agent.controller.pulse import Delays, Pulse
from coolcap_agent.metrics.families import counter
from coolcap_agent.metrics.naming import PREFIX


def pulse_metrics(pulse: Pulse, site: Sequence[str]) -> Iterator[Metric]:
    """Give counters of ticks and histograms of delays."""
    for name, meaning, number in (
        ("ticks", "fast and policy ticks made", pulse.tick_count),
        ("ticks_missed", "fast ticks that did not take place", pulse.missed_count),
        ("commands_unanswered", "commands without an answer in time", pulse.unanswered_count),
    ):
        yield counter(f"{PREFIX}_{name}", meaning, ["site"], [(site, float(number))])
    yield _histogram("tick_seconds", "time a tick took", pulse.ticks, site)
    what = "from reading telemetry to the agent's answer that the cap is in force"
    yield _histogram("command_seconds", what, pulse.commands, site)


def _histogram(name: str, meaning: str, delays: Delays, site: Sequence[str]) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}_{name}", meaning, labels=["site"])
    buckets = [
        ("+Inf" if bound_s == float("inf") else repr(bound_s), float(count))
        for bound_s, count in delays.cumulated()
    ]
    family.add_metric(site, buckets, sum_value=delays.sum_s)
    return family
