"""Metrics of the controller: the site as a whole. Single GPUs are the node agents' to show."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.modes import Mode
from coolcap_agent.controller.pulse import Pulse
from coolcap_agent.metrics.families import Samples, counter, gauge, state_set
from coolcap_agent.metrics.naming import PREFIX, metric_name
from coolcap_agent.metrics.pulse import pulse_metrics
from coolcap_agent.sink.base import SinkStatus
from coolcap_agent.telemetry_log.measurement import Kind
from coolcap_agent.telemetry_log.meters import as_fields
from coolcap_agent.telemetry_log.recorder import AgentSeen
from coolcap_agent.telemetry_log.schema import FACILITY
from coolcap_agent.telemetry_log.site_fields import budget_fields, facility_fields
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.meters import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the controller knew after a tick."""

    state: LoopState
    agents: Sequence[AgentSeen]
    totals: Totals
    log: SinkStatus


class ControllerMetrics(Collector):
    """Keeps what the controller knows and works the metrics out when a scraper asks.

    Args:
        layout: The site's layout.
        pulse: How the controller keeps time.
    """

    def __init__(self, layout: Layout, pulse: Pulse) -> None:
        self._layout = layout
        self._pulse = pulse
        self._seen: _Seen | None = None

    def put(
        self, state: LoopState, agents: Sequence[AgentSeen], *, totals: Totals, log: SinkStatus
    ) -> None:
        """Replace what is shown.

        Args:
            state: What the loop knows after a tick.
            agents: All agents of the site.
            totals: Meters since the controller's start.
            log: How the log is doing.
        """
        self._seen = _Seen(state=state, agents=agents, totals=totals, log=log)

    def collect(self) -> Iterable[Metric]:
        """Give all families; nothing before the first tick."""
        if (seen := self._seen) is None:
            return
        site = [self._layout.name]
        modes = {mode.value: mode is seen.state.mode.mode for mode in Mode}
        yield state_set(f"{PREFIX}_mode", "what the controller does", {"site": site[0]}, modes)
        yield from self._site(seen, site)
        yield from self._budgets(seen, site)
        yield from _loop(seen, site)
        yield from pulse_metrics(self._pulse, site)

    def _site(self, seen: _Seen, site: Sequence[str]) -> Iterator[Metric]:
        values = as_fields(seen.totals) | facility_fields(seen.state, self._layout)
        for field in FACILITY.fields:
            if field.name.endswith("_count"):
                continue  # Prometheus keeps this ending for histograms; see _loop
            name, factor = metric_name(field.name, field.unit, of="site")
            samples: Samples = [(site, values[field.name] * factor)]
            make = counter if field.kind is Kind.COUNTER else gauge
            yield make(name, field.meaning, ["site"], samples)
        for name, field_name in (
            ("groups", "group_count"),
            ("groups_without_readings", "group_stale_count"),
        ):
            meaning = FACILITY.field(field_name).meaning
            samples = [(site, values[field_name])]
            yield gauge(f"{PREFIX}_site_{name}", meaning, ["site"], samples)

    def _budgets(self, seen: _Seen, site: Sequence[str]) -> Iterator[Metric]:
        budgets = budget_fields(seen.state, self._layout)
        for name, field_name, meaning in (
            ("budget_watts", "budget_w", "IT power the budget allows now"),
            ("budget_used_watts", "power_w", "IT power its members draw"),
            ("budget_bound_watts", "power_bound_w", "most its members can draw under their caps"),
        ):
            samples = [([*site, budget], values[field_name]) for budget, values in budgets.items()]
            yield gauge(f"{PREFIX}_{name}", meaning, ["site", "budget"], samples)


def _loop(seen: _Seen, site: Sequence[str]) -> Iterator[Metric]:
    state, agents, log = seen.state, seen.agents, seen.log
    for name, meaning, number in (
        ("readings_fit", "whether readings are good enough to decide on", state.verdict.fit),
        ("policy_failing", "whether the policy or its readings fail", bool(state.failure)),
        ("decision_latency_seconds", "telemetry to answers, last decision", state.latency_s),
        ("agents", "configured agents", len(agents)),
        ("agents_connected", "agents whose telemetry arrives", sum(a.connected for a in agents)),
        ("agents_leased", "agents whose lease is held", sum(a.lease_held for a in agents)),
        ("log_waiting_lines", "lines of the log that wait for the database", log.waiting),
    ):
        yield gauge(f"{PREFIX}_{name}", meaning, ["site"], [(site, float(number))])
    for name, meaning, number in (
        ("decisions", "decisions made", state.tick_count),
        ("decisions_missed", "decisions without the policy's answer", state.missed_count),
        ("log_written_lines", "lines of the log that reached their destination", log.written),
        ("log_dropped_lines", "lines of the log given up", log.dropped),
    ):
        yield counter(f"{PREFIX}_{name}", meaning, ["site"], [(site, float(number))])
