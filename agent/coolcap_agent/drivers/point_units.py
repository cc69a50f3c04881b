"""Units in which field devices give quantities, and the way to the house's units.

A point's value in house units is ``factor * value + shift``.
"""

from collections.abc import Mapping
from typing import Final

UNITS: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "°C": {"°C": (1.0, 0.0), "K": (1.0, -273.15), "°F": (5.0 / 9.0, -160.0 / 9.0)},
    "W": {"W": (1.0, 0.0), "kW": (1e3, 0.0), "MW": (1e6, 0.0)},
    "kWh": {
        "kWh": (1.0, 0.0),
        "Wh": (1e-3, 0.0),
        "MWh": (1e3, 0.0),
        "MJ": (1.0 / 3.6, 0.0),
        "GJ": (1e3 / 3.6, 0.0),
    },
    "L": {"L": (1.0, 0.0), "m³": (1e3, 0.0), "gal": (3.785411784, 0.0)},
    "1": {"1": (1.0, 0.0), "%": (0.01, 0.0)},
    "USD/kWh": {"USD/kWh": (1.0, 0.0), "USD/MWh": (1e-3, 0.0)},
    "g/kWh": {"g/kWh": (1.0, 0.0), "kg/MWh": (1.0, 0.0)},
}
"""House unit → device unit → (factor, shift).

1 kWh = 3.6 MJ and 0 °C = 273.15 K by definition (BIPM, The International System of Units, 9th ed.);
°F = 9/5 °C + 32; the US gallon is 231 cubic inches (NIST Special Publication 811, appendix B).
"""


def allowed_units(house_unit: str) -> tuple[str, ...]:
    """Return the device units a point of ``house_unit`` may have."""
    return tuple(UNITS[house_unit])
