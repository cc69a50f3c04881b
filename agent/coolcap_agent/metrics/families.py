"""Families of metrics that several daemons have, and a short way to make one."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    StateSetMetricFamily,
)

from coolcap_agent.daemon.guard import GuardState
from coolcap_agent.metrics.lease import LeaseSeen
from coolcap_agent.metrics.naming import PREFIX

Samples = Sequence[tuple[Sequence[str], float]]


def gauge(name: str, meaning: str, labels: Sequence[str], samples: Samples) -> Metric:
    """Return a gauge; a sample without a value is left out."""
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, number in samples:
        if not isnan(number):
            family.add_metric(values, number)
    return family


def counter(name: str, meaning: str, labels: Sequence[str], samples: Samples) -> Metric:
    """Return a counter, ``_total`` added to its name; a sample without a value is left out."""
    family = CounterMetricFamily(name, meaning, labels=labels)
    for values, number in samples:
        if not isnan(number):
            family.add_metric(values, number)
    return family


def state_set(
    name: str, meaning: str, labels: Mapping[str, str], states: Mapping[str, bool]
) -> Metric:
    """Return which of several states holds."""
    family = StateSetMetricFamily(name, meaning, labels=list(labels))
    family.add_metric(list(labels.values()), dict(states))
    return family


def of_agent(agent: str, lease: LeaseSeen, *, measure_time_s: float) -> Iterator[Metric]:
    """Give what node and plant agents have in common.

    Args:
        agent: Id of the agent.
        lease: Its lease.
        measure_time_s: Site time of the newest sample.
    """
    states = {state.value: state is lease.guard for state in GuardState}
    what = "whether the agent is free, held under a lease, or restoring"
    yield state_set(f"{PREFIX}_agent_guard", what, {"agent": agent}, states)
    for name, meaning, number in (
        ("lease_remaining", "time left of the lease held", lease.remaining_s),
        ("measure_timestamp", "site time of the newest sample", measure_time_s),
    ):
        yield gauge(f"{PREFIX}_agent_{name}_seconds", meaning, ["agent"], [([agent], number)])
