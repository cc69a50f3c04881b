"""Properties of air, water and the unit system, each with its source."""

from typing import Final

KELVIN_AT_ZERO_C: Final = 273.15
"""0 °C in K. Exact by definition (BIPM, The International System of Units, 9th ed., 2.3.1)."""

AIR_SPECIFIC_HEAT_J_PER_KG_K: Final = 1007.0
"""Dry air at 300 K. Source: Incropera et al., Fundamentals of Heat and Mass Transfer, 7th ed.,
Table A.4. Humid air at 10 g/kg is about 1 % higher, which is neglected."""

WATER_SPECIFIC_HEAT_J_PER_KG_K: Final = 4186.0
"""Liquid water at 15 to 25 °C. Source: Incropera et al., Table A.6 (4184 at 290 K, 4181 at 295 K;
4186 is the 15 °C value). Between 5 and 45 °C it varies by 0.5 %, which is neglected."""

WATER_DENSITY_KG_PER_L: Final = 0.998
"""Liquid water at 20 °C. Source: IAPWS R7-97 tables. Varies by 1 % up to 45 °C, neglected."""

PG25_SPECIFIC_HEAT_J_PER_KG_K: Final = 3945.0
"""Water with 25 % propylene glycol by mass at 30 °C, the usual coolant of cold plates. Source:
CoolProp 8.0, INCOMP::MPG[0.25]. Between 20 and 60 °C it rises by 1.5 %, which is neglected."""

PG25_DENSITY_KG_PER_L: Final = 1.0149
"""The same at 30 °C. Source: CoolProp 8.0, INCOMP::MPG[0.25]."""

WATER_EVAPORATION_HEAT_J_PER_KG: Final = 2.43e6
"""Latent heat of water at 30 °C. Source: Incropera et al., Table A.6 (2438 kJ/kg at 300 K,
2426 kJ/kg at 305 K). Varies by 2 % between 15 and 35 °C, neglected."""

STANDARD_PRESSURE_PA: Final = 101_325.0
"""Standard atmosphere. Source: ISO 2533:1975."""

MOLAR_MASS_RATIO_WATER_AIR: Final = 0.621945
"""Source: ASHRAE Handbook of Fundamentals 2017, chapter 1, equation 20."""

JOULE_PER_KWH: Final = 3.6e6
"""Exact."""

SECONDS_PER_HOUR: Final = 3600.0
"""Exact."""
