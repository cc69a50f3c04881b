"""Synthetic logs of a switchback with a saving that is known."""

from dataclasses import dataclass

import numpy as np

from coolcap_agent.controller.switchback import Arm, Plan
from coolcap_agent.sink.line_protocol import line, time_ns

DAY_S = 86400.0
START_S = 1_767_571_200.0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a synthetic hall is like.

    Attributes:
        saving: Share of energy per work the policy saves.
        noise: Daily nuisance of energy per work, standard deviation of its logarithm.
        work_loss: Share of the work the policy costs.
        luck: Added to the nuisance, weather included, of the policy's blocks.
        debt_k: Return air at the end of the policy's blocks above the rule's.
    """

    saving: float
    noise: float = 0.03
    work_loss: float = 0.0
    luck: float = 0.0
    debt_k: float = 0.0


def plan(pair_count: int, *, block_s: float = DAY_S) -> Plan:
    return Plan(
        start_time_s=START_S,
        block_s=block_s,
        washout_s=block_s / 24.0,
        pair_count=pair_count,
        seed=5,
    )


def switchback_log(truth: Truth, of: Plan, *, seed: int = 1, step_s: float = 600.0) -> bytes:
    """Return the lines a controller would have logged, one row per ``step_s``."""
    rng = np.random.default_rng(seed)
    counters = dict.fromkeys(("facility", "it", "cooling", "work", "covered"), 0.0)
    nuisance = rng.normal(0.0, truth.noise, 2 * of.pair_count)
    for block in range(2 * of.pair_count):
        if of.arms(block // 2)[block % 2] is Arm.POLICY:
            nuisance[block] += truth.luck
    tags = {"site": "synthetic hall"}
    parts: list[bytes] = []
    for time_s in np.arange(of.start_time_s, of.end_time_s, step_s):
        turn = of.at(float(time_s))
        assert turn is not None
        policy = turn.arm is Arm.POLICY
        day = np.sin(2.0 * np.pi * time_s / DAY_S)
        wet_bulb_c = 15.0 + 4.0 * day + 20.0 * nuisance[turn.block]
        work = 100.0 * (1.0 - truth.work_loss * policy)
        per_work = np.exp(nuisance[turn.block]) * (1.0 - truth.saving * policy)
        facility_kw = work * per_work * (1.0 + 0.05 * day)
        hours = step_s / 3600.0
        counters["facility"] += facility_kw * hours
        counters["it"] += 0.8 * facility_kw * hours
        counters["cooling"] += 0.15 * facility_kw * hours
        counters["work"] += work * hours
        counters["covered"] += step_s
        at_ns = time_ns(float(time_s))
        facility = {
            "covered_s": counters["covered"],
            "facility_energy_kwh": counters["facility"],
            "it_energy_kwh": counters["it"],
            "cooling_energy_kwh": counters["cooling"],
            "makeup_water_l": counters["cooling"],
            "work_gpu_h": counters["work"],
            "inlet_margin_k": 3.0 - policy,
        }
        plant = {
            "outdoor_temp_c": wet_bulb_c + 5.0,
            "wet_bulb_temp_c": wet_bulb_c,
            "return_air_temp_c": 30.0 + truth.debt_k * policy,
            "chw_return_temp_c": 16.0 + truth.debt_k * policy,
            "inlet_temp_max_c": 24.0 + policy,
        }
        told = {
            "start_time_s": of.start_time_s,
            "block_s": of.block_s,
            "washout_s": of.washout_s,
            "pair_count": of.pair_count,
            "seed": of.seed,
            "block_index": turn.block,
            "policy_arm": float(policy),
            "washing_out": float(turn.washing_out),
            "undisturbed": 1.0,
        }
        parts += [
            line("facility_1m", tags, facility, at_ns=at_ns),
            line("plant_1m", tags, plant, at_ns=at_ns),
            line("switchback", tags, told, at_ns=at_ns),
            line("loop", tags, {"tick_count": 1.0}, at_ns=at_ns),
        ]
    return b"".join(parts)
