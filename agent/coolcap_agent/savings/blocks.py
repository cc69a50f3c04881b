"""Blocks of a switchback: what was used, done and measured in each, and which of them count."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.controller.switchback import Arm, Plan
from coolcap_agent.savings.log import Columns, Log, SavingsError
from coolcap_agent.telemetry_log.schema import FACILITY_1M, PLANT_1M, SWITCHBACK
from coolcap_envs.contract.telemetry import FloatArray

COVERAGE_MIN: Final = 0.9
"""Share of a block's measured part with complete counters; with less it is left out."""
UNDISTURBED_MIN: Final = 0.95
"""Share of a block in which mode auto acted and nothing was overridden."""
MINUTE_S: Final = 60.0
COUNTERS: Final = (
    "facility_energy_kwh",
    "it_energy_kwh",
    "cooling_energy_kwh",
    "makeup_water_l",
    "carbon_kg",
    "cost_usd",
    "work_gpu_h",
)
"""Of ``facility``: what blocks are compared in."""
COVARIATES: Final = {
    "outdoor_temp_c": "outdoor dry bulb",
    "wet_bulb_temp_c": "outdoor wet bulb",
}
"""Of ``plant``: what neither arm decides, and energy depends on."""
STORED: Final = ("return_air_temp_c", "chw_return_temp_c", "cdu_return_temp_c")
"""Of ``plant``: where heat is stored; read at the end of each block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of a switchback.

    Attributes:
        index: Counts the blocks from 0; two make a pair.
        arm: Who decided.
        used: What was used and done in the measured part, by the names of ``COUNTERS``, per hour.
        covariates: Means over the measured part.
        stored_c: Temperatures where heat is stored, mean of the last ten minutes.
        inlet_max_c: Hottest inlet of the measured part.
        margin_min_k: Least distance of the hottest inlet to its limit.
        near_limit_ratio: Share of the time within 1 K of the inlet limit.
        problem: Why the block does not count; empty if it does.
    """

    index: int
    arm: Arm
    used: dict[str, float]
    covariates: dict[str, float]
    stored_c: dict[str, float]
    inlet_max_c: float
    margin_min_k: float
    near_limit_ratio: float
    problem: str

    @property
    def pair(self) -> int:
        """Return the number of the block's pair."""
        return self.index // 2


def plan_of(log: Log) -> Plan:
    """Return the switchback a log holds.

    Raises:
        SavingsError: If it holds none, or more than one.
    """
    told = log[SWITCHBACK.name]
    if not told.time_s.size:
        raise SavingsError(
            "the log holds no switchback: savings on a live site can be measured in no other way "
            "(`coolcap switchback`, docs/how-to/measure-savings.md)"
        )
    names = ("start_time_s", "block_s", "washout_s", "pair_count", "seed")
    found = np.unique(np.column_stack([told[name] for name in names]), axis=0)
    if len(found) > 1:
        raise SavingsError(
            f"the log holds {len(found)} switchbacks; give the part of it that holds one"
        )
    start_s, block_s, washout_s, pairs, seed = found[0].tolist()
    return Plan(
        start_time_s=start_s,
        block_s=block_s,
        washout_s=washout_s,
        pair_count=int(pairs),
        seed=int(seed),
    )


def blocks_of(log: Log, plan: Plan) -> list[Block]:
    """Return every block the log reaches."""
    facility = log[FACILITY_1M.name]
    if not facility.time_s.size:
        raise SavingsError(f"the log holds no {FACILITY_1M.name}: energy and work are not known")
    last_s = float(facility.time_s[-1])
    return [
        _block(log, plan, index)
        for index in range(2 * plan.pair_count)
        if plan.start_time_s + index * plan.block_s < last_s
    ]


def _block(log: Log, plan: Plan, index: int) -> Block:
    facility, plant, told = (
        log[name] for name in (FACILITY_1M.name, PLANT_1M.name, SWITCHBACK.name)
    )
    begin_s = plan.start_time_s + index * plan.block_s
    start_s, end_s = begin_s + plan.washout_s, begin_s + plan.block_s
    rows, of_plant = facility.between(start_s, end_s), plant.between(start_s, end_s)
    used, covered_s = _used(facility, rows)
    arm = plan.arms(index // 2)[index % 2]
    inlet_c = plant["inlet_temp_max_c"][of_plant]
    margin_k = facility["inlet_margin_k"][rows]
    return Block(
        index=index,
        arm=arm,
        used={
            name: 3600.0 * value / covered_s if covered_s else np.nan
            for name, value in used.items()
        },
        covariates={name: _mean(plant[name][of_plant]) for name in COVARIATES},
        stored_c={
            name: _mean(plant[name][plant.between(end_s - 10.0 * MINUTE_S, end_s)])
            for name in STORED
        },
        inlet_max_c=float(np.nanmax(inlet_c, initial=-np.inf)),
        margin_min_k=float(np.nanmin(margin_k, initial=np.inf)),
        near_limit_ratio=_mean((margin_k < 1.0).astype(np.float64)),
        problem=_problem(told, arm, begin_s, end_s, covered_s / (end_s - start_s)),
    )


def _used(facility: Columns, rows: slice) -> tuple[dict[str, float], float]:
    """Return what counters counted over rows, and the time they covered.

    A counter that falls is one of a controller that started anew; that step is not counted.
    """
    covered = np.diff(facility["covered_s"][rows])
    steps = {name: np.diff(facility[name][rows]) for name in COUNTERS}
    whole = np.isfinite(covered) & (covered > 0.0) & (covered <= 10.0 * MINUTE_S)
    for name in ("facility_energy_kwh", "work_gpu_h"):
        whole &= np.isfinite(steps[name]) & (steps[name] >= 0.0)
    return (
        {name: float(step[whole].sum()) for name, step in steps.items()},
        float(covered[whole].sum()),
    )


def _problem(told: Columns, arm: Arm, begin_s: float, end_s: float, coverage: float) -> str:
    rows = told.between(begin_s, end_s)
    if not rows.stop > rows.start:
        return "nothing says whose turn it was"
    if not coverage >= COVERAGE_MIN:
        needed = f"{100.0 * COVERAGE_MIN:.0f} % are needed"
        return f"counters cover {100.0 * coverage:.0f} % of it, {needed}"
    if np.any(told["policy_arm"][rows] != float(arm is Arm.POLICY)):
        return "the log names another arm than the plan"
    undisturbed = _mean(told["undisturbed"][rows])
    if not undisturbed >= UNDISTURBED_MIN:
        return (
            f"mode auto acted undisturbed for {100.0 * undisturbed:.0f} % of it, "
            f"{100.0 * UNDISTURBED_MIN:.0f} % are needed"
        )
    return ""


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
