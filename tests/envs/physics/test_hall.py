"""Tests of the kernel: conservation, equality of its forms, and the traps of fake savings."""

import os
import subprocess
import sys

import numpy as np
import pytest

from coolcap_envs.physics import hall
from coolcap_envs.physics.tower import APPROACH_MIN_K
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site
from support.plants import DECODE, MEMORY_BOUND, PREFILL, TRAINING, HeldPlant

SITES = ["lab-16", "air-1mw"]


@pytest.mark.parametrize("site", SITES)
def test_energy_is_conserved_over_a_day_with_faults(site: str) -> None:
    """Electricity in = heat out + change of stored heat, to 1e-6 in every step.

    Setpoints jump, devices of every kind fail in turn, loads and weather change.
    """
    plants = 3
    plant = SimulatedPlant(load_site(site), batch_size=plants, seed=7)
    rng = np.random.default_rng(1)
    worst = 0.0
    for step in range(2880):
        if step % 40 == 0:
            batch = plant._batch
            batch.set("inputs", "supply_air_setpoint_c", rng.uniform(14.0, 30.0, plants))
            batch.set("inputs", "chw_setpoint_c", rng.uniform(6.0, 22.0, plants))
            batch.set("inputs", "cw_setpoint_c", rng.uniform(14.0, 34.0, plants))
            batch.set("inputs", "air_flow_setpoint_ratio", rng.uniform(0.2, 1.0, plants))
            caps_w = rng.uniform(200.0, 700.0, (plants, plant.layout.group_count))
            batch.set("group_inputs", "power_cap_w", caps_w)
            shares = rng.choice([0.0, 0.5, 1.0], size=4, p=[0.1, 0.2, 0.7])
            plant.set_available(crah=shares[0], chiller=shares[1], tower=shares[2], pump=shares[3])
        plant.advance(30.0)
        worst = max(worst, float(np.abs(plant.totals().energy_residual_ratio).max()))
    assert worst < 1e-6
    for name in plant._batch.plant.dtype.names or ():
        assert np.all(np.isfinite(plant._batch.plant[name])), name


def test_a_wrong_stream_would_show_in_the_residual() -> None:
    """The balance is computed from stored heat, not from the streams that changed it."""
    held = HeldPlant()
    held.advance(0.1)
    held.plant["hot_temp_c"] += 0.01
    held.advance(1.0 / 120.0)
    assert held.worst_residual > 1e-3


def test_parallel_and_serial_kernels_agree_bit_for_bit() -> None:
    site = load_site("lab-16")
    serial, parallel = (
        SimulatedPlant(site, batch_size=20, seed=3, threads=threads) for threads in (1, 2)
    )
    for plant in (serial, parallel):
        for _ in range(30):
            plant.advance(30.0)
    for one, other in zip(serial._batch.tables, parallel._batch.tables, strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_plant_is_the_same_bit_for_bit_in_every_lane_and_tile() -> None:
    """Its neighbours differ; what a lane holds must not reach the others."""
    site = load_site("lab-16")
    crowd = SimulatedPlant(site, batch_size=19)
    crowd.reset([7 if b in (2, 5, 8, 18) else 100 + b for b in range(19)], randomise_ratio=1.0)
    alone = SimulatedPlant(site)
    alone.reset(7, randomise_ratio=1.0)
    for _ in range(130):
        crowd.advance(30.0)
        alone.advance(30.0)
    wanted = alone._batch.take(np.array([0]))
    for b in (2, 5, 8, 18):
        got = crowd._batch.take(np.array([b]))
        for one, other in zip(got.tables, wanted.tables, strict=True):
            assert one.tobytes() == other.tobytes()


_TRACE = """
import numpy as np
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site
plant = SimulatedPlant(load_site("lab-16"), seed=5)
plant.advance(60.0)
t = plant.read()
print(",".join(f"{x:.12e}" for x in [*t.plant, *t.groups.ravel()]))
"""


@pytest.mark.slow
def test_compiled_and_plain_python_agree() -> None:
    """The same source, with and without the compiler, to 1e-9: it can be stepped in a debugger."""

    def run(*, disabled: str) -> list[float]:
        done = subprocess.run(
            [sys.executable, "-c", _TRACE],
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
            capture_output=True,
            text=True,
            check=True,
        )
        return [float(x) for x in done.stdout.split(",")]

    assert run(disabled="1") == pytest.approx(run(disabled="0"), rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("wet_bulb_c", [-10.0, 10.0, 26.0])
def test_bounds_of_plausibility_hold_over_setpoints(site: str, wet_bulb_c: float) -> None:
    """PUE above 1 plus losses, COP at most 18, tower above wet bulb, water at least half latent."""
    held = HeldPlant(site)
    held.hold_outside(wet_bulb_c=wet_bulb_c)
    for supply_c, chw_c, cw_c, flow in ((18.0, 7.0, 16.0, 1.0), (26.0, 18.0, 30.0, 0.6)):
        held.hold(
            supply_air_setpoint_c=supply_c,
            chw_setpoint_c=chw_c,
            cw_setpoint_c=cw_c,
            air_flow_setpoint_ratio=flow,
        )
        held.advance(3.0)
        water_before_kg = float(held.plant["makeup_water_kg"])
        held.advance(1.0)
        p = held.plant
        it_w, cooling_w = (
            p["it_power_w"],
            p["facility_power_w"] - p["it_power_w"] - p["loss_power_w"],
        )
        assert p["facility_power_w"] / it_w > 1.0 + p["loss_power_w"] / it_w
        assert cooling_w / it_w > 0.02
        assert p["chiller_load_w"] <= 18.0 * p["chiller_power_w"] or p["chiller_load_w"] == 0.0
        assert p["basin_temp_c"] >= wet_bulb_c + APPROACH_MIN_K - 0.01
        drawn_kg = float(p["makeup_water_kg"]) - water_before_kg
        assert drawn_kg > 0.5 * float(p["it_power_w"]) * 3600.0 / 2.43e6


@pytest.mark.parametrize("site", SITES)
def test_slowing_the_air_handlers_below_it_flow_does_not_pay(site: str) -> None:
    """Containment reversal: PUE goes on falling while the energy for the same work rises."""
    held = HeldPlant(site)
    held.hold_groups(demand_ratio=0.95)
    held.hold(supply_air_setpoint_c=24.0, chw_setpoint_c=17.0)
    facility_w, pue, inlet_c = [], [], []
    for flow in (1.0, 0.75, 0.55):
        held.hold(air_flow_setpoint_ratio=flow)
        held.advance(2.0)
        facility_w.append(float(held.plant["facility_power_w"]))
        pue.append(facility_w[-1] / float(held.plant["it_power_w"]))
        inlet_c.append(float(held.plant["inlet_temp_max_c"]))
    assert facility_w[1] < facility_w[0]
    assert facility_w[2] > facility_w[1]
    assert pue[2] < pue[1] < pue[0]
    assert inlet_c[2] > inlet_c[1] + 4.0


def test_the_best_supply_temperature_lies_inside_the_range() -> None:
    """Warmer air saves fan-coil water and chiller work until server fans and leakage eat it."""
    held = HeldPlant()
    facility_w = []
    for supply_c in (18.0, 24.0, 33.0):
        held.hold(supply_air_setpoint_c=supply_c)
        facility_w.append(float(held.advance(2.0).plant["facility_power_w"]))
    assert facility_w[1] < facility_w[0]
    assert facility_w[1] < facility_w[2]


@pytest.mark.parametrize("wet_bulb_c", [5.0, 18.0])
def test_warmer_chilled_water_takes_less_chiller_energy(wet_bulb_c: float) -> None:
    held = HeldPlant()
    held.hold_outside(wet_bulb_c=wet_bulb_c)
    chiller_w = []
    for chw_c in (7.0, 11.0, 15.0):
        held.hold(chw_setpoint_c=chw_c)
        chiller_w.append(float(held.advance(2.0).plant["chiller_power_w"]))
    assert chiller_w[0] > chiller_w[1] > chiller_w[2]


def test_in_the_cold_the_economizer_does_the_chillers_work() -> None:
    held = HeldPlant()
    held.hold_outside(wet_bulb_c=-5.0)
    held.hold(supply_air_setpoint_c=26.0, chw_setpoint_c=18.0, cw_setpoint_c=16.0)
    held.hold_groups(demand_ratio=0.5)
    held.advance(3.0)
    assert held.plant["economizer_load_w"] > 5.0 * held.plant["chiller_load_w"]


def test_without_air_handlers_the_hall_heats_up_at_the_pace_of_its_mass() -> None:
    """2 to 6 K/min are computed for racks of 10 to 40 kW whose heat stays in them."""
    held = HeldPlant()
    held.advance(1.0)
    before_c = float(held.plant["hot_temp_c"])
    held.hold(crah_available_ratio=0.0)
    held.advance(5.0 / 60.0)
    per_min_k = (float(held.plant["hot_temp_c"]) - before_c) / 5.0
    assert 1.0 < per_min_k < 6.0


def test_gpus_throttle_before_they_overheat_and_recover() -> None:
    held = HeldPlant()
    held.hold_groups(work_class=PREFILL)
    held.hold(crah_available_ratio=0.0)
    held.advance(0.25)
    assert held.groups["throttle_ratio"].min() < 1.0
    assert held.groups["hot_die_temp_c"].max() < 95.0
    held.hold(crah_available_ratio=1.0)
    held.advance(2.0)
    assert held.groups["throttle_ratio"].min() == 1.0


def test_a_gpu_that_cannot_be_cooled_shuts_itself_down_and_its_power_with_it() -> None:
    held = HeldPlant()
    held.hold(crah_available_ratio=0.0)
    held.advance(2.0)
    assert held.groups["stopped"].sum() > 0
    stopped = held.groups["stopped"] == 1
    assert held.groups["gpu_power_w"][stopped].max() < 150.0


def test_a_failed_pump_stops_the_chiller_and_the_water() -> None:
    held = HeldPlant()
    held.advance(0.5)
    held.hold(pump_available_ratio=0.0)
    held.advance(0.05)
    assert held.plant["chiller_power_w"] == 0.0
    assert held.plant["pump_power_w"] == 0.0


@pytest.mark.parametrize("work_class", [TRAINING, PREFILL, DECODE, MEMORY_BOUND])
def test_work_is_conserved(work_class: int) -> None:
    """Offered = done + given up + waiting, while caps and demand change."""
    held = HeldPlant()
    offered_before = held.groups["offered_gpu_s"].sum()
    done_before = held.groups["work_gpu_s"].sum()
    lost_before = held.groups["lost_gpu_s"].sum()
    held.hold_groups(work_class=work_class)
    hall.advance(held.batch, substeps=6)
    for demand, cap_w in ((1.2, 300.0), (0.3, 700.0), (0.9, 250.0)):
        held.hold_groups(demand_ratio=demand, power_cap_w=cap_w)
        held.advance(0.5)
    g = held.groups
    accounted = (
        (g["work_gpu_s"].sum() - done_before)
        + (g["lost_gpu_s"].sum() - lost_before)
        + g["backlog_s"].sum()
    )
    assert accounted == pytest.approx(g["offered_gpu_s"].sum() - offered_before, rel=1e-9)


def test_supply_air_returns_to_its_set_point_after_a_change_of_load() -> None:
    held = HeldPlant()
    held.hold_groups(demand_ratio=0.3)
    held.advance(1.0)
    held.hold_groups(demand_ratio=1.0)
    held.advance(0.5)
    assert held.plant["supply_air_temp_c"] == pytest.approx(20.0, abs=0.2)


def test_condenser_water_follows_its_set_point_within_the_towers_power() -> None:
    held = HeldPlant()
    held.hold(cw_setpoint_c=22.0)
    held.advance(3.0)
    assert held.plant["basin_temp_c"] == pytest.approx(22.0, abs=0.3)


def test_a_colder_set_point_reaches_the_coils_only_after_the_pipes_delay() -> None:
    held = HeldPlant()
    held.advance(2.0)
    held.hold(chw_setpoint_c=7.0)
    held.advance(1.0 / 120.0)
    assert held.plant["chw_leaving_temp_c"] < 9.8
    assert held.plant["chw_supply_temp_c"] == pytest.approx(10.0, abs=0.01)
    held.advance(0.5)
    assert held.plant["chw_supply_temp_c"] == pytest.approx(7.0, abs=0.1)
