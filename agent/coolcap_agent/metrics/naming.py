"""Names and units as Prometheus wants them: its base unit last, ``_total`` on counters.

it_power_w    ->  coolcap_site_it_power_watts
it_energy_kwh ->  coolcap_site_it_energy_joules_total   (times 3.6e6)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "coolcap"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseUnit:
    """How a unit of the house becomes a base unit of Prometheus."""

    ours: str
    name: str
    factor: float = 1.0


_UNITS: Final[Mapping[str, BaseUnit]] = {
    "W": BaseUnit(ours="w", name="watts"),
    "kWh": BaseUnit(ours="kwh", name="joules", factor=3.6e6),
    "°C": BaseUnit(ours="c", name="celsius"),
    "K": BaseUnit(ours="k", name="kelvin"),
    "MHz": BaseUnit(ours="mhz", name="hertz", factor=1e6),
    "s": BaseUnit(ours="s", name="seconds"),
    "L": BaseUnit(ours="l", name="liters"),
    "GPU·h": BaseUnit(ours="gpu_h", name="gpu_seconds", factor=3600.0),
    "kg": BaseUnit(ours="kg", name="grams", factor=1000.0),
    "USD": BaseUnit(ours="usd", name="usd"),
    "USD/kWh": BaseUnit(ours="usd_per_kwh", name="usd_per_joule", factor=1.0 / 3.6e6),
    "g/kWh": BaseUnit(ours="g_per_kwh", name="grams_per_joule", factor=1.0 / 3.6e6),
    "1": BaseUnit(ours="ratio", name="ratio"),
}


def metric_name(name: str, unit: str, *, of: str) -> tuple[str, float]:
    """Return the metric's name without ``_total``, and the factor to its unit.

    Args:
        name: A name of the house, its unit last.
        unit: Its unit.
        of: What it is of: ``site``, ``plant``, ``gpu``.
    """
    base = _UNITS[unit]
    stem = name.removesuffix(f"_{base.ours}")
    return f"{PREFIX}_{of}_{stem}_{base.name}", base.factor
