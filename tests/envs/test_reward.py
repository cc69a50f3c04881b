"""The reward: terms by hand, factored parts that add up, and the traps it must not fall into."""

import numpy as np
import pytest

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, PLANT_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.reward import WORK_VALUE_DEFAULT, Reward, Weights, evaluate
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import load_site_limits

LAYOUT, LIMITS = load_site_limits("lab-16")
N = LAYOUT.group_count
STEP_S = 30.0


def snapshot(time_s: float, groups: dict[str, object], plant: dict[str, object]) -> Telemetry:
    """Telemetry in which everything not named is 20: cool, and within every limit."""
    group_values = np.full((1, N, len(GROUP_SIGNALS)), 20.0)
    group_values[..., GROUP_COLUMN["latency_ratio"]] = 0.5
    plant_values = np.full((1, len(PLANT_SIGNALS)), 20.0)
    for name, value in groups.items():
        group_values[..., GROUP_COLUMN[name]] = value
    for name, value in plant.items():
        plant_values[..., PLANT_COLUMN[name]] = value
    return Telemetry(
        time_s=np.array([time_s]),
        groups=group_values,
        plant=plant_values,
        groups_age_s=np.zeros((1, N)),
        plant_age_s=np.zeros((1, len(PLANT_SIGNALS))),
    )


def kwh(power_w: object) -> object:
    return np.asarray(power_w) * STEP_S / 3.6e6


def rewarded(
    *,
    it_w: object = 1000.0,
    facility_w: float = 20_000.0,
    rate: object = 0.9,
    work_value: float = WORK_VALUE_DEFAULT,
    asked: Setpoints | None = None,
    allowed: Setpoints | None = None,
    after_plant: dict[str, object] | None = None,
    **after_groups: object,
) -> Reward:
    """The reward of one step with constant powers and work rates."""
    hold = Setpoints(
        power_cap_w=np.full((1, N), 500.0),
        sm_clock_max_mhz=np.full((1, N), np.nan),
        plant=np.where(LAYOUT.plant_levers, LIMITS.lever_default, np.nan)[None],
    )
    before = snapshot(0.0, {"it_energy_kwh": 0.0, "work_gpu_h": 0.0}, {"facility_energy_kwh": 0.0})
    after = snapshot(
        STEP_S,
        {
            "it_energy_kwh": kwh(it_w),
            "work_gpu_h": np.asarray(rate) * STEP_S / 3600.0,
            "gpu_power_w": 600.0,
            **after_groups,
        },
        {
            "facility_energy_kwh": kwh(facility_w),
            "facility_power_w": facility_w,
            **(after_plant or {}),
        },
    )
    return evaluate(
        before,
        after,
        asked=asked or hold,
        allowed=allowed or hold,
        layout=LAYOUT,
        limits=LIMITS,
        work_value=np.array([work_value]),
        weights=Weights(),
    )


def test_terms_are_shares_of_the_design() -> None:
    reward = rewarded(facility_w=0.9 * LAYOUT.it_power_design_w, rate=0.8, work_value=2.0)

    assert reward.terms["energy"] == pytest.approx([0.9])
    assert reward.terms["work"] == pytest.approx([0.8])
    assert reward.terms["correction"] == pytest.approx([0.0])
    assert reward.total == pytest.approx([2.0 * 0.8 - 0.9])


def test_groups_rewards_add_up_to_the_sites_objective() -> None:
    random = np.random.default_rng(0)

    reward = rewarded(it_w=random.uniform(300.0, 1000.0, N), rate=random.uniform(0.2, 1.0, N))

    objective = 2.0 * reward.terms["work"] - reward.terms["energy"]
    assert reward.groups.mean(axis=-1) == pytest.approx(objective)


def test_a_group_pays_for_its_own_power_with_its_share_of_cooling_and_no_others() -> None:
    """
    Facility power rises with one group's IT power at a fixed ratio: the others pay no more.
    """
    base = np.full(N, 800.0)
    more = base.copy()
    more[3] += 200.0

    before = rewarded(it_w=base, facility_w=1.3 * base.sum()).groups[0]
    after = rewarded(it_w=more, facility_w=1.3 * more.sum()).groups[0]

    change = after - before
    assert change[3] == pytest.approx(-1.3 * 200.0 / (LAYOUT.it_power_design_w / N))
    np.testing.assert_allclose(np.delete(change, 3), 0.0, atol=1e-12)


def test_losing_one_per_cent_of_work_to_save_one_per_cent_of_energy_is_a_loss() -> None:
    full = rewarded(facility_w=20_000.0, rate=1.0).total
    slower = rewarded(facility_w=20_000.0 * 0.99, rate=0.99).total

    assert slower[0] < full[0]


def test_more_it_power_at_a_better_pue_is_a_loss() -> None:
    """
    Warmer inlets make server fans draw more: PUE falls and the facility uses more.
    """
    cool = rewarded(it_w=1000.0, facility_w=16_000.0 * 1.20)
    warm = rewarded(it_w=1030.0, facility_w=16_480.0 * 1.18)

    assert warm.total[0] < cool.total[0]
    assert warm.plant[0] < cool.plant[0]


def test_the_plant_answers_for_work_and_energy_of_the_site_but_not_for_latency() -> None:
    cool = rewarded(facility_w=20_000.0)
    leaking = rewarded(facility_w=20_100.0, it_w=1006.25)
    late = rewarded(facility_w=20_000.0, latency_ratio=1.5)

    assert leaking.plant[0] < cool.plant[0]
    assert late.plant == pytest.approx(cool.plant)
    assert late.total[0] < cool.total[0]


def test_costs_are_zero_within_limits_and_grow_beyond() -> None:
    within = rewarded(gpu_temp_c=LIMITS.gpu_temp_max_c, latency_ratio=1.0)
    beyond = rewarded(
        after_plant={"inlet_temp_max_c": LIMITS.inlet_temp_max_c + 2.0},
        hbm_temp_c=LIMITS.hbm_temp_max_c + 3.0,
        latency_ratio=1.25,
    )

    assert {name: value[0] for name, value in within.costs.items()} == {
        "inlet_temp": 0.0,
        "gpu_temp": 0.0,
        "latency": 0.0,
    }
    assert beyond.costs["inlet_temp"] == pytest.approx([2.0])
    assert beyond.costs["gpu_temp"] == pytest.approx([3.0])
    assert beyond.costs["latency"] == pytest.approx([1.25])
    assert beyond.total[0] == pytest.approx(within.total[0] - 6.25)


def test_readings_that_are_missing_cost_nothing() -> None:
    reward = rewarded(hbm_temp_c=np.nan, latency_ratio=np.nan)

    assert np.isfinite(reward.total).all()
    assert np.isfinite(reward.groups).all()


def test_what_the_shield_took_away_is_charged_to_the_agent_that_asked() -> None:
    allowed = Setpoints(
        power_cap_w=np.full((1, N), 500.0),
        sm_clock_max_mhz=np.full((1, N), np.nan),
        plant=np.where(LAYOUT.plant_levers, LIMITS.lever_default, np.nan)[None],
    )
    caps = allowed.power_cap_w.copy()
    caps[0, 5] += 42.0
    asked = Setpoints(
        power_cap_w=caps, sm_clock_max_mhz=allowed.sm_clock_max_mhz, plant=allowed.plant
    )

    charged = rewarded(asked=asked, allowed=allowed).groups - rewarded().groups

    span_w = cap_span_w(LAYOUT, LIMITS)
    expected = np.zeros(N)
    expected[5] = -Weights().correction * 42.0 / span_w
    np.testing.assert_allclose(charged[0], expected, atol=1e-12)


def cap_span_w(layout: Layout, limits: Limits) -> float:
    """The range of a cap, the same for all groups of the site."""
    spans = np.unique(limits.power_cap_max_w - limits.power_cap_min_w)
    assert (layout.group_count, spans.size) == (16, 1)
    return float(spans[0])
