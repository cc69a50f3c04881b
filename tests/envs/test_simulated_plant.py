"""Tests of the simulated plant behind the contract's protocol."""

from dataclasses import replace

import numpy as np
import pytest

from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_envs.contract.plant import Plant
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import BoolArray, Telemetry
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import Site, load_site

SITE = load_site("lab-16")
N = SITE.layout.group_count
CDU = ("cdu_supply_temp_c", "cdu_return_temp_c", "cdu_flow_ratio")


def same(one: Telemetry, other: Telemetry) -> bool:
    return np.array_equal(one.groups, other.groups, equal_nan=True) and np.array_equal(
        one.plant, other.plant, equal_nan=True
    )


def caps(watts: float, *shape: int) -> Setpoints:
    setpoints = Setpoints.none(*shape)
    setpoints.power_cap_w[...] = watts
    return setpoints


def test_it_implements_the_protocol() -> None:
    plant: Plant = SimulatedPlant(SITE)
    assert plant.layout is SITE.layout


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_telemetry_has_the_batch_shape_and_valid_values(batch_size: int | None) -> None:
    plant = SimulatedPlant(SITE, batch_size=batch_size)
    plant.advance(30.0)
    shape = () if batch_size is None else (batch_size,)
    now = plant.read()
    assert now.time_s.shape == shape
    assert now.groups.shape == (*shape, N, len(GROUP_SIGNALS))
    assert now.plant.shape == (*shape, len(PLANT_SIGNALS))
    assert now.groups_age_s.shape == (*shape, N)
    assert np.all(now.groups_valid(age_max_s=90.0))
    for k, signal in enumerate(PLANT_SIGNALS):
        missing = signal.name.startswith("cdu_")
        assert np.all(np.isnan(now.plant[..., k]) == missing), signal.name
        assert np.all(now.plant_valid(age_max_s=90.0)[..., k] != missing), signal.name


def test_time_passes_and_counters_grow() -> None:
    plant = SimulatedPlant(SITE)
    before = plant.read_truth()
    plant.advance(3600.0)
    after = plant.read_truth()
    assert after.time_s - before.time_s == 3600.0
    facility_kwh = after.of_plant("facility_energy_kwh") - before.of_plant("facility_energy_kwh")
    assert facility_kwh == pytest.approx(float(plant.totals().facility_energy_kwh))
    assert 10.0 < facility_kwh < 25.0
    assert np.all(after.group("work_gpu_h") >= before.group("work_gpu_h"))
    assert after.of_plant("makeup_water_l") > 0.0


def test_counters_start_at_zero_and_the_plant_at_work() -> None:
    plant = SimulatedPlant(SITE)
    truth = plant.read_truth()
    for name in ("it_energy_kwh", "facility_energy_kwh", "cooling_energy_kwh", "makeup_water_l"):
        assert truth.of_plant(name) == 0.0
    assert np.all(truth.group("it_energy_kwh") == 0.0)
    assert truth.of_plant("supply_air_temp_c") == pytest.approx(20.0, abs=0.5)
    assert truth.of_plant("it_power_w") > 5000.0


def test_powers_of_the_parts_add_up() -> None:
    plant = SimulatedPlant(SITE)
    plant.advance(600.0)
    t = plant.read_truth()
    parts_w = sum(
        t.of_plant(f"{name}_power_w")
        for name in ("it", "crah_fan", "chiller", "pump", "tower_fan", "loss")
    )
    assert t.of_plant("facility_power_w") == pytest.approx(
        parts_w + SITE.parameters["electrical_other_power_w"]
    )
    assert t.of_plant("it_power_w") == pytest.approx(t.group("it_power_w").sum())
    assert t.of_plant("inlet_temp_max_c") == pytest.approx(t.group("inlet_temp_c").max())


def test_reading_changes_nothing_and_two_reads_are_equal() -> None:
    plant, twin = SimulatedPlant(SITE, seed=4), SimulatedPlant(SITE, seed=4)
    for _ in range(5):
        assert same(plant.read(), plant.read())
        plant.advance(30.0)
        twin.advance(30.0)
    assert same(plant.read_truth(), twin.read_truth())


def test_instruments_differ_from_the_truth_by_their_class() -> None:
    plant = SimulatedPlant(SITE, batch_size=64)
    plant.advance(30.0)
    read, truth = plant.read(), plant.read_truth()
    inlet_k = read.group("inlet_temp_c") - truth.group("inlet_temp_c")
    assert inlet_k.std() == pytest.approx(np.hypot(0.15, 0.05), rel=0.15)
    power = read.of_plant("facility_power_w") / truth.of_plant("facility_power_w") - 1.0
    assert 0.0 < power.std() < 0.012
    assert np.all(read.group("gpu_temp_c") == np.round(read.group("gpu_temp_c")))


def test_a_member_depends_on_its_own_seed_only() -> None:
    """Alone, or in a batch at another place: the same to the last bit."""
    alone = SimulatedPlant(SITE, batch_size=1)
    alone.reset([42], randomise_ratio=1.0)
    crowd = SimulatedPlant(SITE, batch_size=4)
    crowd.reset([7, 8, 42, 9], randomise_ratio=1.0)
    for _ in range(150):  # past the first block of demand
        alone.advance(30.0)
        crowd.advance(30.0)
    assert np.array_equal(alone.read().groups[0], crowd.read().groups[2], equal_nan=True)
    assert np.array_equal(alone.read().plant[0], crowd.read().plant[2], equal_nan=True)


def test_resetting_one_member_leaves_the_others_alone() -> None:
    plant, twin = (SimulatedPlant(SITE, batch_size=3) for _ in range(2))
    for step in range(40):
        if step == 20:
            plant.reset([0, 99, 0], where=np.array([False, True, False]))
        plant.advance(30.0)
        twin.advance(30.0)
    now, other = plant.read(), twin.read()
    assert np.array_equal(now.groups[[0, 2]], other.groups[[0, 2]])
    assert not np.array_equal(now.groups[1], other.groups[1])
    fresh = SimulatedPlant(SITE, batch_size=1)
    fresh.reset([99])
    for _ in range(20):
        fresh.advance(30.0)
    assert np.array_equal(fresh.read().groups[0], now.groups[1])


def test_the_same_seed_gives_the_same_trajectory_after_other_use() -> None:
    plant = SimulatedPlant(SITE, seed=1)
    plant.apply(caps(300.0, N))
    plant.set_available(crah=0.5)
    plant.advance(1800.0)
    plant.reset(1)
    fresh = SimulatedPlant(SITE, seed=1)
    plant.advance(600.0)
    fresh.advance(600.0)
    assert same(plant.read(), fresh.read())


def test_steps_can_be_cut_at_will_without_changing_the_trajectory() -> None:
    whole, pieces = SimulatedPlant(SITE, seed=2), SimulatedPlant(SITE, seed=2)
    whole.advance(7200.0)
    for _ in range(480):
        pieces.advance(15.0)
    one, other = whole.read_truth(), pieces.read_truth()
    assert one.of_plant("facility_energy_kwh") == pytest.approx(
        float(other.of_plant("facility_energy_kwh")), rel=1e-3
    )
    assert one.of_plant("return_air_temp_c") == pytest.approx(
        float(other.of_plant("return_air_temp_c")), abs=0.01
    )


@pytest.mark.parametrize("dt_s", [0.0, -30.0, 7.0])
def test_a_step_that_is_no_multiple_of_the_substep_is_refused(dt_s: float) -> None:
    with pytest.raises(ValueError, match="a multiple of 5 s is needed"):
        SimulatedPlant(SITE).advance(dt_s)


def test_caps_take_effect_and_are_read_back() -> None:
    plant = SimulatedPlant(SITE)
    applied = plant.apply(caps(300.0, N))
    assert applied.refusals == ()
    assert np.all(applied.setpoints.power_cap_w == 300.0)
    plant.advance(60.0)
    assert np.all(plant.read_truth().group("gpu_power_w") <= 300.0)
    assert np.all(plant.read().group("power_limit_w") == 300.0)


def test_utilisation_hides_how_little_a_serving_gpu_does_as_nvml_does() -> None:
    """Share of time a kernel runs: high for decode at any load, the load itself for training."""
    plant = SimulatedPlant(SITE, batch_size=8)
    plant.advance(600.0)
    t = plant.read_truth()
    decode = t.group("decode_ratio") == 1.0
    assert t.group("work_rate_ratio")[decode].mean() < 0.7
    assert t.group("gpu_util_ratio")[decode].min() > 0.7
    training = (t.group("training_ratio") == 1.0) & (t.group("work_rate_ratio") > 0.0)
    assert t.group("gpu_util_ratio")[training] == pytest.approx(
        t.group("work_rate_ratio")[training], abs=0.1
    )


def test_a_clock_limit_takes_effect() -> None:
    plant = SimulatedPlant(SITE)
    setpoints = Setpoints.none(N)
    setpoints.sm_clock_max_mhz[:] = 1200.0
    assert np.all(plant.apply(setpoints).setpoints.sm_clock_max_mhz == pytest.approx(1200.0))
    plant.advance(60.0)
    assert np.all(plant.read_truth().group("sm_clock_mhz") <= 1200.0 + 1e-6)


def test_setpoints_that_are_not_commanded_are_left_alone() -> None:
    plant = SimulatedPlant(SITE)
    before = plant.apply(Setpoints.none(N)).setpoints
    assert np.all(before.power_cap_w == 700.0)
    supply = PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]
    assert before.plant[supply] == SITE.limits.lever_default[supply]
    assert np.isnan(before.plant[PLANT_LEVER_COLUMN["cdu_flow_setpoint_ratio"]])


def test_values_outside_the_devices_ranges_are_refused_by_name_and_change_nothing() -> None:
    plant = SimulatedPlant(SITE, batch_size=2)
    setpoints = Setpoints.none(2, N)
    setpoints.power_cap_w[1, 3] = 90.0
    setpoints.sm_clock_max_mhz[0, 0] = 5000.0
    setpoints.plant[0, PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]] = 60.0
    setpoints.plant[1, PLANT_LEVER_COLUMN["cdu_flow_setpoint_ratio"]] = 0.5
    applied = plant.apply(setpoints)
    assert applied.refusals == (
        "power cap 90 W for member 1 node-01/3 is outside 200 to 700 W (limits of the device)",
        "clock 5000 MHz for member 0 node-01/0 is outside 0 to 1980 MHz (limits of the device)",
        "supply_air_temp_setpoint_c 60 of member 0 plant is outside 10 to 35 °C "
        "(range of the lever)",
        "cdu_flow_setpoint_ratio 0.5 of member 1 plant is refused: lab-16 has no such lever "
        "(site file)",
    )
    assert np.all(applied.setpoints.power_cap_w == 700.0)
    assert np.all(applied.setpoints.plant[:, 0] == 20.0)


def test_a_lever_the_site_file_does_not_list_is_neither_read_nor_taken() -> None:
    layout = SITE.layout
    fewer = layout.plant_levers.copy()
    fewer[PLANT_LEVER_COLUMN["air_flow_setpoint_ratio"]] = False
    site = _with_levers(SITE, fewer)
    plant = SimulatedPlant(site)
    column = PLANT_LEVER_COLUMN["air_flow_setpoint_ratio"]
    assert np.isnan(plant.read().plant[column])
    setpoints = Setpoints.none(N)
    setpoints.plant[column] = 0.8
    assert len(plant.apply(setpoints).refusals) == 1


def _with_levers(site: Site, levers: BoolArray) -> Site:
    return replace(site, layout=replace(site.layout, plant_levers=levers))


def test_supply_air_follows_its_set_point() -> None:
    plant = SimulatedPlant(SITE)
    setpoints = Setpoints.none(N)
    setpoints.plant[PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]] = 24.0
    plant.apply(setpoints)
    plant.advance(3600.0)
    assert plant.read_truth().of_plant("supply_air_temp_c") == pytest.approx(24.0, abs=0.3)


def test_losing_air_handlers_warms_inlets_and_shows_in_telemetry() -> None:
    plant = SimulatedPlant(SITE)
    plant.advance(600.0)
    before_c = float(plant.read_truth().of_plant("inlet_temp_max_c"))
    plant.set_available(crah=0.0)
    plant.advance(300.0)
    after = plant.read_truth()
    assert after.of_plant("inlet_temp_max_c") > before_c + 5.0
    assert after.of_plant("crah_available_ratio") == 0.0
    assert after.of_plant("air_flow_ratio") == 0.0


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_impossible_availability_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"available share of pump is .*; 0 to 1 is allowed"):
        SimulatedPlant(SITE).set_available(pump=share)


def test_randomisation_changes_the_plant_within_its_ranges() -> None:
    nominal, drawn = (SimulatedPlant(SITE, batch_size=200) for _ in range(2))
    seeds = list(range(200))
    nominal.reset(seeds)
    drawn.reset(seeds, randomise_ratio=1.0)
    low, high = SITE.randomisation["crah.fan_power_design_w"]
    factor = drawn._batch.get("parameters", "crah_fan_power_design_w") / nominal._batch.get(
        "parameters", "crah_fan_power_design_w"
    )
    assert low <= factor.min() < low + 0.05
    assert high - 0.05 < factor.max() <= high
    assert np.unique(nominal._batch.get("parameters", "crah_fan_power_design_w")).size == 1


def test_half_the_randomisation_deviates_half_as_much() -> None:
    half, full = (SimulatedPlant(SITE) for _ in range(2))
    half.reset(3, randomise_ratio=0.5)
    full.reset(3, randomise_ratio=1.0)
    nominal_w = SITE.parameters["crah_fan_power_design_w"]
    deviation = [
        float(p._batch.get("parameters", "crah_fan_power_design_w")[0]) - nominal_w
        for p in (half, full)
    ]
    assert deviation[0] == pytest.approx(0.5 * deviation[1])


def test_weather_and_start_can_be_chosen() -> None:
    plant = SimulatedPlant(SITE, batch_size=2)
    july_s = 1_751_500_800.0
    plant.reset([0, 1], weather="miami", start_time_s=july_s)
    hot = plant.read_truth()
    plant.reset([0, 1], weather="sand-point", start_time_s=july_s)
    cold = plant.read_truth()
    assert np.all(hot.time_s == july_s)
    assert np.all(hot.of_plant("wet_bulb_temp_c") > cold.of_plant("wet_bulb_temp_c") + 8.0)


def test_without_a_choice_weathers_and_days_vary_and_start_at_local_midnight() -> None:
    plant = SimulatedPlant(SITE, batch_size=32)
    now = plant.read_truth()
    assert np.unique(now.time_s).size > 20
    assert set(np.unique((now.time_s / 3600.0) % 24.0)) <= {5.0, 9.0}
    assert np.unique(plant._batch.series).size == 3


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({"seeds": [1, 2]}, "2 seeds for 3 plants"),
        ({"seeds": [1, 2, 3], "randomise_ratio": 2.5}, "randomise_ratio is 2.5; 0 to 2"),
    ],
)
def test_a_wrong_reset_is_refused(problem: dict[str, object], said: str) -> None:
    plant = SimulatedPlant(SITE, batch_size=3)
    with pytest.raises(ValueError, match=said):
        plant.reset(**problem)  # type: ignore[arg-type]


def test_a_copy_has_the_same_future() -> None:
    """Also across blocks of demand, from another place in another batch."""
    crowd = SimulatedPlant(SITE, batch_size=3, seed=10)
    for _ in range(90):
        crowd.advance(30.0)
    copy = SimulatedPlant(SITE, batch_size=2, seed=77)
    copy.copy_from(crowd, source=1, target=0)
    for _ in range(60):
        crowd.advance(30.0)
        copy.advance(30.0)
    assert np.array_equal(copy.read().groups[0], crowd.read().groups[1])
    assert np.array_equal(copy.read().plant[0], crowd.read().plant[1], equal_nan=True)


def test_a_copy_of_another_site_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot copy a plant of another site"):
        SimulatedPlant(SITE).copy_from(SimulatedPlant(load_site("lab-16")))


def test_totals_account_for_all_work() -> None:
    plant = SimulatedPlant(SITE, batch_size=4)
    rng = np.random.default_rng(0)
    for _ in range(240):
        plant.apply(caps(float(rng.uniform(250.0, 700.0)), 4, N))
        plant.advance(30.0)
    totals = plant.totals()
    assert totals.offered_gpu_h == pytest.approx(
        totals.work_gpu_h + totals.lost_gpu_h + totals.waiting_gpu_h, rel=1e-9
    )


def test_stored_heat_is_counted_from_the_reset() -> None:
    plant = SimulatedPlant(SITE)
    assert plant.totals().stored_heat_kwh == 0.0
    plant.set_available(crah=0.0)
    plant.advance(300.0)
    assert plant.totals().stored_heat_kwh > 0.2


def test_cost_and_carbon_follow_price_and_intensity() -> None:
    plant = SimulatedPlant(SITE)
    truth = plant.read_truth()
    plant.advance(600.0)
    totals = plant.totals()
    energy_kwh = float(totals.facility_energy_kwh)
    assert totals.cost_usd == pytest.approx(
        energy_kwh * float(truth.of_plant("price_usd_per_kwh")), rel=0.02
    )
    assert totals.carbon_kg == pytest.approx(
        energy_kwh * float(truth.of_plant("grid_carbon_g_per_kwh")) / 1000.0, rel=0.02
    )
