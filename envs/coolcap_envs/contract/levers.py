"""The levers: what a policy may set, per control group and per plant, in canonical order.

A lever's position in its tuple is its column in ``Setpoints`` and ``Action``. A site has a subset
of the plant's levers (``Layout.plant_levers``) and narrows ranges in its limits; staging, valves
and interlocks stay with the building management system.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """One quantity that can be commanded, with the widest range any site may allow."""

    name: str
    unit: str
    low: float
    high: float
    cools_upward: bool
    """Whether a higher value cools more: true for flows, false for temperatures."""
    meaning: str


PLANT_LEVERS: Final[tuple[Lever, ...]] = (
    Lever(
        name="supply_air_temp_setpoint_c",
        unit="°C",
        low=10.0,
        high=35.0,
        cools_upward=False,
        meaning="air leaving the CRAH",
    ),
    Lever(
        name="chw_supply_temp_setpoint_c",
        unit="°C",
        low=5.0,
        high=45.0,
        cools_upward=False,
        meaning="chilled water to the hall",
    ),
    Lever(
        name="cw_supply_temp_setpoint_c",
        unit="°C",
        low=5.0,
        high=45.0,
        cools_upward=False,
        meaning="condenser water leaving the tower",
    ),
    Lever(
        name="air_flow_setpoint_ratio",
        unit="1",
        low=0.2,
        high=1.0,
        cools_upward=True,
        meaning="CRAH air flow relative to design",
    ),
    Lever(
        name="cdu_supply_temp_setpoint_c",
        unit="°C",
        low=15.0,
        high=50.0,
        cools_upward=False,
        meaning="coolant to the cold plates",
    ),
    Lever(
        name="cdu_flow_setpoint_ratio",
        unit="1",
        low=0.2,
        high=1.0,
        cools_upward=True,
        meaning="coolant flow relative to design",
    ),
)

GROUP_LEVERS: Final[tuple[Lever, ...]] = (
    Lever(
        name="power_cap_w",
        unit="W",
        low=50.0,
        high=3000.0,
        cools_upward=False,
        meaning="power cap of each GPU of the group",
    ),
    Lever(
        name="sm_clock_max_mhz",
        unit="MHz",
        low=200.0,
        high=5000.0,
        cools_upward=False,
        meaning="highest clock each GPU of the group may use",
    ),
)

PLANT_LEVER_COLUMN: Final = {lever.name: i for i, lever in enumerate(PLANT_LEVERS)}
GROUP_LEVER_COLUMN: Final = {lever.name: i for i, lever in enumerate(GROUP_LEVERS)}
