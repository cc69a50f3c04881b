"""The shield: the last word on setpoints before they become commands.

``project`` is a pure function. It returns the nearest setpoints it can vouch for and says, per
lever, why they differ from what was asked. The environment trains behind it and the controller
acts behind it. Order of the checks: finite, range, temperatures, stale readings, slew, budgets;
a cap may always fall at once, never rise faster than its slew.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.budget import allocate, other_power_w
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

_UNCHANGED = 1e-9
_SUPPLY = PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]
_CW = PLANT_LEVER_COLUMN["cw_supply_temp_setpoint_c"]
_CDU = PLANT_LEVER_COLUMN["cdu_supply_temp_setpoint_c"]
_COOLS_UP = np.array([lever.cools_upward for lever in PLANT_LEVERS])


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


class _Projection:
    """A value under projection with the reasons that changed it so far."""

    def __init__(self, value: FloatArray) -> None:
        self.value = value
        self.reasons = np.zeros(value.shape, dtype=np.int64)

    def set(self, value: FloatArray, reason: Reason, where: BoolArray) -> None:
        # Written so that a value that was NaN counts as changed.
        changed = where & ~(np.abs(value - self.value) <= _UNCHANGED)
        self.value = np.where(changed, value, self.value)
        self.reasons |= np.where(changed, int(reason), 0)

    def at_most(self, bound: FloatArray, reason: Reason, where: BoolArray | bool = True) -> None:
        self.set(np.fmin(self.value, bound), reason, np.asarray(where) & ~np.isnan(self.value))

    def at_least(self, bound: FloatArray, reason: Reason, where: BoolArray | bool = True) -> None:
        self.set(np.fmax(self.value, bound), reason, np.asarray(where) & ~np.isnan(self.value))


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
    caps = _project_caps(asked.power_cap_w, in_force.power_cap_w, telemetry, layout, limits, dt_s)
    plant = _project_plant(asked.plant, in_force.plant, telemetry, limits, dt_s)
    clock = np.fmin(asked.sm_clock_max_mhz, layout.sm_clock_max_mhz)
    return Shielded(
        setpoints=Setpoints(
            power_cap_w=caps.value,
            sm_clock_max_mhz=np.where(np.isfinite(asked.sm_clock_max_mhz), clock, np.nan),
            plant=plant.value,
        ),
        group_reasons=caps.reasons,
        plant_reasons=plant.reasons,
    )


def _project_caps(
    asked: FloatArray,
    in_force: FloatArray,
    telemetry: Telemetry,
    layout: Layout,
    limits: Limits,
    dt_s: float,
) -> _Projection:
    low, high = limits.power_cap_min_w, limits.power_cap_max_w
    now = np.where(np.isfinite(in_force), in_force, layout.power_limit_default_w)
    cap = _Projection(asked)
    cap.set(np.broadcast_to(now, asked.shape), Reason.NOT_FINITE, ~np.isfinite(asked))
    cap.at_least(low, Reason.RANGE)
    cap.at_most(high, Reason.RANGE)

    valid = telemetry.groups_valid(age_max_s=limits.telemetry_age_max_s)
    needed = [GROUP_COLUMN[s] for s in ("gpu_power_w", "gpu_temp_c", "inlet_temp_c")]
    cap.at_most(now, Reason.STALE, np.asarray(~valid[..., needed].all(axis=-1)))

    margin_k = np.fmin(
        limits.gpu_temp_max_c - telemetry.group("gpu_temp_c"),
        limits.hbm_temp_max_c - telemetry.group("hbm_temp_c"),
    )
    cap.at_most(now, Reason.GPU_TEMP, margin_k < GPU_TEMP_HOLD_K)
    cap.at_most(now - CAP_CUT_RATIO * high, Reason.GPU_TEMP, margin_k < 0.0)
    over_k = telemetry.group("inlet_temp_c") - limits.inlet_temp_max_c
    cap.at_most(now, Reason.INLET_TEMP, over_k > 0.0)
    cap.at_most(now - CAP_CUT_RATIO * high, Reason.INLET_TEMP, over_k > EMERGENCY_K)

    cap.at_most(now + limits.power_cap_rise_max_w_per_min * (dt_s / 60.0), Reason.SLEW)
    cap.at_least(low, Reason.RANGE)

    allocated, too_small = allocate(
        cap.value,
        other_power_w(telemetry, layout),
        layout,
        limits,
        worth=lambda: worth_of(telemetry),
    )
    cap.at_most(allocated, Reason.BUDGET)
    short = (too_small[..., :, None] & limits.budget_members).any(axis=-2)
    cap.reasons |= np.where(short, int(Reason.BUDGET_TOO_SMALL), 0)
    return cap


def _project_plant(
    asked: FloatArray,
    in_force: FloatArray,
    telemetry: Telemetry,
    limits: Limits,
    dt_s: float,
) -> _Projection:
    low, high = limits.lever_low, limits.lever_high
    present = ~np.isnan(low)
    now = np.where(np.isfinite(in_force), in_force, limits.lever_default)
    lever = _Projection(np.where(present, asked, np.nan))
    lever.set(now, Reason.NOT_FINITE, present & ~np.isfinite(asked))
    lever.at_least(low, Reason.RANGE)
    lever.at_most(high, Reason.RANGE)

    valid = telemetry.plant_valid(age_max_s=limits.telemetry_age_max_s)

    def known(*signals: str) -> BoolArray:
        return np.asarray(valid[..., [PLANT_COLUMN[s] for s in signals]].all(axis=-1))

    inlet_c = telemetry.of_plant("inlet_temp_max_c")
    supply_c = telemetry.of_plant("supply_air_temp_c")
    margin_k = limits.inlet_temp_max_c - inlet_c
    blind = ~known("inlet_temp_max_c", "supply_air_temp_c")
    _hold_warming(lever, now, Reason.STALE, blind)
    _hold_warming(lever, now, Reason.INLET_TEMP, ~blind & (margin_k < INLET_MARGIN_K))
    # Beyond the limit every lever moves towards more cooling, as fast as its slew allows.
    _push_cooling(lever, limits, ~blind & (margin_k < 0.0))
    rise_k = np.maximum(inlet_c - supply_c, 0.0) * RISE_MISMATCH
    bound_c = limits.inlet_temp_max_c - INLET_MARGIN_K - rise_k
    lever.at_most(
        _in_column(lever.value, _SUPPLY, np.maximum(bound_c, low[_SUPPLY])),
        Reason.INLET_TEMP,
        _in_column_mask(lever.value, _SUPPLY, ~blind),
    )
    for column, signal, margin, reason in (
        (_CW, "wet_bulb_temp_c", TOWER_APPROACH_MIN_K, Reason.WET_BULB),
        (_CDU, "dew_point_c", DEW_POINT_MARGIN_K, Reason.DEW_POINT),
    ):
        fine = known(signal)
        floor_c = np.fmin(telemetry.of_plant(signal) + margin, high[column])
        lever.at_least(
            _in_column(lever.value, column, floor_c),
            reason,
            _in_column_mask(lever.value, column, fine),
        )
        lever.at_least(now, Reason.STALE, _in_column_mask(lever.value, column, ~fine))

    minutes = dt_s / 60.0
    lever.at_most(now + limits.lever_rise_max_per_min * minutes, Reason.SLEW)
    lever.at_least(now - limits.lever_fall_max_per_min * minutes, Reason.SLEW)
    return lever


def _hold_warming(lever: _Projection, now: FloatArray, reason: Reason, where: BoolArray) -> None:
    """Let no lever move towards less cooling than now."""
    lever.at_least(now, reason, where[..., None] & _COOLS_UP)
    lever.at_most(now, reason, where[..., None] & ~_COOLS_UP)


def _push_cooling(lever: _Projection, limits: Limits, where: BoolArray) -> None:
    lever.at_least(limits.lever_high, Reason.INLET_TEMP, where[..., None] & _COOLS_UP)
    lever.at_most(limits.lever_low, Reason.INLET_TEMP, where[..., None] & ~_COOLS_UP)


def _in_column(like: FloatArray, column: int, value: FloatArray) -> FloatArray:
    """Return NaN everywhere but ``value`` in one column."""
    full = np.full(like.shape, np.nan)
    full[..., column] = value
    return full


def _in_column_mask(like: FloatArray, column: int, where: BoolArray) -> BoolArray:
    full = np.zeros(like.shape, dtype=bool)
    full[..., column] = where
    return full
