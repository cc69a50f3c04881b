"""The shield: the last word on setpoints before they become commands.

``project`` is a pure function. It returns the nearest setpoints it can vouch for and says, per
lever, why they differ from what was asked. The environment trains behind it and the controller
acts behind it. Order of the checks: finite, range, temperatures, stale readings, slew, budgets;
a cap may always fall at once, never rise faster than its slew. The checks of one cap and one lever,
:func:`cap_below_limits_w` and :func:`safe_lever`, take numbers or arrays; the simulator compiles
the same functions.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.elementwise import (
    Numbers,
    Truth,
    absolute,
    flagged,
    higher_of,
    is_finite,
    is_nan,
    lower_of,
    negated,
    where,
)
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.budget import allocate, other_power_w
from coolcap_envs.safety.coolant import colder_coolant
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.worth import worth_of

ReasonArray = NDArray[np.int64]


class Reason(IntFlag):
    """Why a value differs from what was asked; several may hold at once."""

    NOT_FINITE = 1
    RANGE = 2
    SLEW = 4
    STALE = 8
    GPU_TEMP = 16
    INLET_TEMP = 32
    BUDGET = 64
    WET_BULB = 128
    DEW_POINT = 256
    BUDGET_TOO_SMALL = 512


REASON_TEXT: Final = {
    Reason.NOT_FINITE: "the value asked was not finite",
    Reason.RANGE: "it was outside the allowed range (site limits)",
    Reason.SLEW: "it would have changed faster than allowed (site limits)",
    Reason.STALE: "a reading it depends on is missing, invalid or too old",
    Reason.GPU_TEMP: "a GPU or its memory is at its temperature limit",
    Reason.INLET_TEMP: "the hottest server inlet is, or would come, too close to its limit",
    Reason.BUDGET: "a power budget binds",
    Reason.WET_BULB: "a tower cannot cool below wet bulb plus 2 K",
    Reason.DEW_POINT: "coolant below dew point plus 2 K would condense water",
    Reason.BUDGET_TOO_SMALL: "a power budget cannot be met even at the lowest caps",
}

INLET_MARGIN_K: Final = 0.5
"""Kept below the inlet limit: a class B Pt100 is within 0.43 K at 25 °C (IEC 60751)."""
RISE_MISMATCH: Final = 1.25
"""The measured rise from supply to hottest inlet may grow by this factor within a step."""
TOWER_APPROACH_MIN_K: Final = 2.0
"""Closest a tower is asked to come to wet bulb (docs/explanation/safety.md)."""
DEW_POINT_MARGIN_K: Final = 2.0
"""Coolant stays this far above the room's dew point (ASHRAE TC 9.9 liquid cooling guidance)."""
CAP_CUT_RATIO: Final = 0.05
"""Share of the maximum by which a cap falls per step while a temperature limit is exceeded."""
GPU_TEMP_HOLD_K: Final = 2.0
"""A cap is not released while a GPU is this close to its temperature limit."""
EMERGENCY_K: Final = 2.0
"""Inlet this far above its limit means cooling is lost: caps are cut."""

_UNCHANGED: Final = 1e-9
SUPPLY: Final = PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]
CW: Final = PLANT_LEVER_COLUMN["cw_supply_temp_setpoint_c"]
CDU: Final = PLANT_LEVER_COLUMN["cdu_supply_temp_setpoint_c"]
COOLING: Final = np.array([1.0 if lever.cools_upward else -1.0 for lever in PLANT_LEVERS])
"""Direction of more cooling of each lever."""
# Bits as plain numbers, for compilers do not know enumerations of flags.
_NOT_FINITE: Final = int(Reason.NOT_FINITE)
_RANGE: Final = int(Reason.RANGE)
_SLEW: Final = int(Reason.SLEW)
_STALE: Final = int(Reason.STALE)
GPU_TEMP_BIT: Final = int(Reason.GPU_TEMP)
_INLET_TEMP: Final = int(Reason.INLET_TEMP)
_BUDGET: Final = int(Reason.BUDGET)
_BUDGET_TOO_SMALL: Final = int(Reason.BUDGET_TOO_SMALL)
WET_BULB_BIT: Final = int(Reason.WET_BULB)
DEW_POINT_BIT: Final = int(Reason.DEW_POINT)

NEEDED_BY_CAPS: Final = ("gpu_power_w", "gpu_temp_c", "inlet_temp_c")
"""Signals of a group without which its cap may not rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shielded:
    """Setpoints that may be commanded, with reasons (bits of ``Reason``, 0 for unchanged).

    Attributes:
        setpoints: What may be commanded.
        group_reasons: Per cap, shape ``[..., N]``.
        plant_reasons: Per plant lever, shape ``[..., K]``.
    """

    setpoints: Setpoints
    group_reasons: ReasonArray
    plant_reasons: ReasonArray


def reasons_in_words(bits: int) -> tuple[str, ...]:
    """Return one sentence per reason in ``bits``."""
    return tuple(text for reason, text in REASON_TEXT.items() if bits & reason)


def _at_most(
    value: Numbers, reasons: Numbers, bound: Numbers, bit: int, allowed: Truth
) -> tuple[Numbers, Numbers]:
    """Lower a value to a bound where that is ``allowed``, and note the reason."""
    lowered = lower_of(value, bound)
    changed = allowed & (absolute(lowered - value) > _UNCHANGED)
    return where(changed, lowered, value), flagged(reasons, changed, bit)


def _at_least(
    value: Numbers, reasons: Numbers, bound: Numbers, bit: int, allowed: Truth
) -> tuple[Numbers, Numbers]:
    """Raise a value to a bound where that is ``allowed``, and note the reason."""
    raised = higher_of(value, bound)
    changed = allowed & (absolute(raised - value) > _UNCHANGED)
    return where(changed, raised, value), flagged(reasons, changed, bit)


def _no_warmer(
    value: Numbers, reasons: Numbers, bound: Numbers, bit: int, allowed: Truth, cooling: Numbers
) -> tuple[Numbers, Numbers]:
    """Move a lever to a bound if that means more cooling; ``cooling`` is the sign of more."""
    moved = cooling * higher_of(cooling * value, cooling * bound)
    changed = allowed & (absolute(moved - value) > _UNCHANGED)
    return where(changed, moved, value), flagged(reasons, changed, bit)


def cap_below_limits_w(
    asked_w: Numbers,
    now_w: Numbers,
    low_w: Numbers,
    high_w: Numbers,
    rise_w: Numbers,
    gpu_margin_k: Numbers,
    over_k: Numbers,
    is_known: Truth,
) -> tuple[Numbers, Numbers]:
    """Return a cap that keeps every limit but the budgets, and the reasons why it was changed.

    Args:
        asked_w: Asked cap.
        now_w: Cap in force.
        low_w: Lowest cap.
        high_w: Highest cap.
        rise_w: How far it may rise until the next call.
        gpu_margin_k: Distance of GPU or memory to its temperature limit, the smaller one.
        over_k: Inlet temperature above its limit.
        is_known: Whether the readings it depends on are fit.
    """
    is_lost = negated(is_finite(asked_w))
    cap_w = where(is_lost, now_w, asked_w)
    reasons = flagged(0, is_lost, _NOT_FINITE)
    always = is_finite(cap_w)
    cap_w, reasons = _at_least(cap_w, reasons, low_w, _RANGE, always)
    cap_w, reasons = _at_most(cap_w, reasons, high_w, _RANGE, always)
    cap_w, reasons = _at_most(cap_w, reasons, now_w, _STALE, negated(is_known))
    cut_w = now_w - CAP_CUT_RATIO * high_w
    cap_w, reasons = _at_most(cap_w, reasons, now_w, GPU_TEMP_BIT, gpu_margin_k < GPU_TEMP_HOLD_K)
    cap_w, reasons = _at_most(cap_w, reasons, cut_w, GPU_TEMP_BIT, gpu_margin_k < 0.0)
    cap_w, reasons = _at_most(cap_w, reasons, now_w, _INLET_TEMP, over_k > 0.0)
    cap_w, reasons = _at_most(cap_w, reasons, cut_w, _INLET_TEMP, over_k > EMERGENCY_K)
    cap_w, reasons = _at_most(cap_w, reasons, now_w + rise_w, _SLEW, always)
    return _at_least(cap_w, reasons, low_w, _RANGE, always)


def cap_within_budget_w(
    cap_w: Numbers, reasons: Numbers, allocated_w: Numbers, is_short: Truth
) -> tuple[Numbers, Numbers]:
    """Return the cap that the allocator leaves, and the reasons.

    Args:
        cap_w: From :func:`cap_below_limits_w`.
        reasons: From there too.
        allocated_w: From :func:`coolcap_envs.safety.budget.allocate`.
        is_short: Whether a budget of this group cannot be met even at the lowest caps.
    """
    cap_w, reasons = _at_most(cap_w, reasons, allocated_w, _BUDGET, is_finite(cap_w))
    return cap_w, flagged(reasons, is_short, _BUDGET_TOO_SMALL)


def safe_lever(
    asked: Numbers,
    now: Numbers,
    low: Numbers,
    high: Numbers,
    rise: Numbers,
    fall: Numbers,
    cooling: Numbers,
    is_blind: Truth,
    inlet_margin_k: Numbers,
    most: Numbers,
    least: Numbers,
    least_bit: Numbers,
    is_least_known: Truth,
) -> tuple[Numbers, Numbers]:
    """Return a lever's setpoint that is safe to command, NaN for an absent lever, and reasons.

    Args:
        asked: Asked setpoint.
        now: Setpoint in force.
        low: Lowest allowed, NaN if the site lacks the lever.
        high: Highest allowed.
        rise: How far it may rise until the next call.
        fall: How far it may fall until then.
        cooling: 1 if a higher value cools more, -1 otherwise.
        is_blind: Whether inlet or supply temperature is not known.
        inlet_margin_k: Distance of the hottest inlet to its limit.
        most: Highest setpoint that keeps the inlets cool; NaN if it has no such bound.
        least: Lowest setpoint that physics allows; NaN if it has no such bound.
        least_bit: Reason of that bound.
        is_least_known: Whether what that bound depends on is known; true if it has none.
    """
    is_present = negated(is_nan(low))
    is_lost = is_present & negated(is_finite(asked))
    value = where(is_lost, now, where(is_present, asked, np.nan))
    reasons = flagged(0, is_lost, _NOT_FINITE)
    value, reasons = _at_least(value, reasons, low, _RANGE, is_present)
    value, reasons = _at_most(value, reasons, high, _RANGE, is_present)
    is_close = negated(is_blind) & (inlet_margin_k < INLET_MARGIN_K)
    is_beyond = negated(is_blind) & (inlet_margin_k < 0.0)
    value, reasons = _no_warmer(value, reasons, now, _STALE, is_blind, cooling)
    value, reasons = _no_warmer(value, reasons, now, _INLET_TEMP, is_close, cooling)
    # Beyond the limit every lever moves towards more cooling, as fast as its slew allows.
    coldest = where(cooling > 0.0, high, low)
    value, reasons = _no_warmer(value, reasons, coldest, _INLET_TEMP, is_beyond, cooling)
    value, reasons = _at_most(value, reasons, most, _INLET_TEMP, negated(is_blind))
    value, reasons = _at_least(value, reasons, least, least_bit, is_least_known)
    value, reasons = _at_least(value, reasons, now, _STALE, negated(is_least_known))
    value, reasons = _at_most(value, reasons, now + rise, _SLEW, is_present)
    return _at_least(value, reasons, now - fall, _SLEW, is_present)


def supply_air_most_c(
    inlet_temp_max_c: Numbers, inlet_c: Numbers, supply_c: Numbers, low_c: Numbers
) -> Numbers:
    """Return the warmest supply air that keeps the hottest inlet below its limit under mismatch.

    Args:
        inlet_temp_max_c: Limit of the inlets.
        inlet_c: Hottest inlet now.
        supply_c: Supply air now.
        low_c: Coldest setpoint.
    """
    rise_k = higher_of(inlet_c - supply_c, 0.0) * RISE_MISMATCH
    return higher_of(inlet_temp_max_c - INLET_MARGIN_K - rise_k, low_c)


def project(
    asked: Setpoints,
    *,
    telemetry: Telemetry,
    in_force: Setpoints,
    layout: Layout,
    limits: Limits,
    dt_s: float,
) -> Shielded:
    """Project asked setpoints onto those that are safe to command now.

    Args:
        asked: From :func:`coolcap_envs.contract.action.decode` or a rule; may hold anything.
        telemetry: Newest readings; invalid ones make the shield conservative.
        in_force: What the devices hold now; NaN counts as the site's default.
        layout: The site's layout.
        limits: The site's limits.
        dt_s: Time until the next call, for slew limits.
    """
    caps_w, group_reasons = _project_caps(
        asked.power_cap_w, in_force.power_cap_w, telemetry, layout, limits, dt_s
    )
    plant, plant_reasons = _project_plant(asked.plant, in_force.plant, telemetry, limits, dt_s)
    clock = np.fmin(asked.sm_clock_max_mhz, layout.sm_clock_max_mhz)
    return Shielded(
        setpoints=Setpoints(
            power_cap_w=caps_w,
            sm_clock_max_mhz=np.where(np.isfinite(asked.sm_clock_max_mhz), clock, np.nan),
            plant=plant,
        ),
        group_reasons=group_reasons,
        plant_reasons=plant_reasons,
    )


def _project_caps(
    asked: FloatArray,
    in_force: FloatArray,
    telemetry: Telemetry,
    layout: Layout,
    limits: Limits,
    dt_s: float,
) -> tuple[FloatArray, ReasonArray]:
    valid = telemetry.groups_valid(age_max_s=limits.telemetry_age_max_s)
    needed = [GROUP_COLUMN[s] for s in NEEDED_BY_CAPS]
    cap_w, reasons = cap_below_limits_w(
        asked_w=asked,
        now_w=np.where(np.isfinite(in_force), in_force, layout.power_limit_default_w),
        low_w=limits.power_cap_min_w,
        high_w=limits.power_cap_max_w,
        rise_w=limits.power_cap_rise_max_w_per_min * (dt_s / 60.0),
        gpu_margin_k=np.fmin(
            limits.gpu_temp_max_c - telemetry.group("gpu_temp_c"),
            limits.hbm_temp_max_c - telemetry.group("hbm_temp_c"),
        ),
        over_k=telemetry.group("inlet_temp_c") - limits.inlet_temp_max_c,
        is_known=valid[..., needed].all(axis=-1),
    )
    allocated_w, too_small = allocate(
        cap_w, other_power_w(telemetry, layout), layout, limits, worth=lambda: worth_of(telemetry)
    )
    return cap_within_budget_w(
        cap_w=cap_w,
        reasons=reasons,
        allocated_w=allocated_w,
        is_short=(too_small[..., :, None] & limits.budget_members).any(axis=-2),
    )


def _project_plant(
    asked: FloatArray,
    in_force: FloatArray,
    telemetry: Telemetry,
    limits: Limits,
    dt_s: float,
) -> tuple[FloatArray, ReasonArray]:
    valid = telemetry.plant_valid(age_max_s=limits.telemetry_age_max_s)

    def known(*signals: str) -> BoolArray:
        return np.asarray(valid[..., [PLANT_COLUMN[s] for s in signals]].all(axis=-1))

    inlet_c = telemetry.of_plant("inlet_temp_max_c")
    most, least = np.full(asked.shape, np.nan), np.full(asked.shape, np.nan)
    most[..., SUPPLY] = supply_air_most_c(
        inlet_temp_max_c=limits.inlet_temp_max_c,
        inlet_c=inlet_c,
        supply_c=telemetry.of_plant("supply_air_temp_c"),
        low_c=limits.lever_low[SUPPLY],
    )
    least_known = np.ones(asked.shape, dtype=bool)
    least_bits = np.zeros(asked.shape[-1], dtype=np.int64)
    for column, signal, margin_k, bit in (
        (CW, "wet_bulb_temp_c", TOWER_APPROACH_MIN_K, WET_BULB_BIT),
        (CDU, "dew_point_c", DEW_POINT_MARGIN_K, DEW_POINT_BIT),
    ):
        least[..., column] = lower_of(
            telemetry.of_plant(signal) + margin_k, limits.lever_high[column]
        )
        least_known[..., column] = known(signal)
        least_bits[column] = bit
    now = np.where(np.isfinite(in_force), in_force, limits.lever_default)
    asked, is_colder = colder_coolant(asked, now, telemetry, limits, hold_k=GPU_TEMP_HOLD_K)
    value, reasons = safe_lever(
        asked=asked,
        now=now,
        low=limits.lever_low,
        high=limits.lever_high,
        rise=limits.lever_rise_max_per_min * (dt_s / 60.0),
        fall=limits.lever_fall_max_per_min * (dt_s / 60.0),
        cooling=COOLING,
        is_blind=~known("inlet_temp_max_c", "supply_air_temp_c")[..., None],
        inlet_margin_k=(limits.inlet_temp_max_c - inlet_c)[..., None],
        most=most,
        least=least,
        least_bit=least_bits,
        is_least_known=least_known,
    )
    return value, flagged(reasons, is_colder, GPU_TEMP_BIT)
