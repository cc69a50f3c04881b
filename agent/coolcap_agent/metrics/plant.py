"""Metrics of the plant agent: every signal by its name in the signal table."""

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from coolcap_agent.metrics.families import counter, gauge, of_agent, state_set
from coolcap_agent.metrics.lease import LeaseSeen
from coolcap_agent.metrics.naming import PREFIX, metric_name
from coolcap_agent.plant.sampler import SIGNALS, PlantSample
from coolcap_agent.plant.state import PlantState
from coolcap_agent.plant.validity import Validity
from coolcap_agent.telemetry_log.units import COUNTER_UNITS


class PlantMetrics(Collector):
    """Keeps the newest sample and gives it to scrapers.

    Args:
        plant_id: Id of the plant.
    """

    def __init__(self, plant_id: str) -> None:
        self._plant_id = plant_id
        self._seen: tuple[PlantSample, LeaseSeen, PlantState] | None = None

    def put(
        self, sample: PlantSample, lease: LeaseSeen, state: PlantState = PlantState.LOCAL
    ) -> None:
        """Replace what is shown."""
        self._seen = (sample, lease, state)

    def collect(self) -> Iterable[Metric]:
        """Give all families; nothing before the first sample."""
        if self._seen is None:
            return
        sample, lease, state = self._seen
        yield from of_agent(self._plant_id, lease, measure_time_s=sample.measure_time_s)
        plant = [self._plant_id]
        yield state_set(
            f"{PREFIX}_plant_state",
            "state of the plant agent",
            {"plant": self._plant_id},
            {one.value: one is state for one in PlantState},
        )
        yield gauge(
            f"{PREFIX}_plant_signal_valid",
            "whether the signal's reading may be used",
            ["plant", "signal"],
            [
                ([*plant, s.reading.signal], float(s.validity is Validity.VALID))
                for s in sample.signals
            ],
        )
        for one in sample.signals:
            if one.validity is not Validity.VALID:
                continue
            signal = SIGNALS[one.reading.signal]
            name, factor = metric_name(signal.name, signal.unit, of="plant")
            make = counter if signal.unit in COUNTER_UNITS else gauge
            yield make(name, signal.meaning, ["plant"], [(plant, one.reading.value * factor)])
