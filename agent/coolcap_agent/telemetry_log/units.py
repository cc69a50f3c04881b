"""Which units are those of counters; light, for daemons that load no arrays."""

from typing import Final

COUNTER_UNITS: Final = ("kWh", "L", "GPU·h")
"""The signal table has no powers or flows in these: what is measured in them only rises."""
