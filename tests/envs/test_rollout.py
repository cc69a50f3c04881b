"""Rollouts of baselines: scenarios repeat, meters agree, each baseline does what it says."""

from dataclasses import fields

import numpy as np
import pytest

from coolcap_envs.baselines import CAPS, COOLING, BaselineController, PolicyController, baseline
from coolcap_envs.contract.meters import WindowMeter
from coolcap_envs.contract.policy import RulePolicy
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import Telemetry
from coolcap_envs.episode import DAY_S, STEP_S, Days, Episodes, days_of
from coolcap_envs.moment import Moment
from coolcap_envs.rollout import Scenario, run, scenarios_for, settings_of
from coolcap_envs.site import Site, load_site

HOUR_S = 3600.0


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site("lab-16")


def moment_of(site: Site) -> Moment:
    episodes = Episodes(site, batch_size=1)
    episodes.start([np.random.default_rng(0)])
    return episodes.moment


def test_one_scenario_gives_one_outcome_in_any_company(site: Site) -> None:
    scenarios = scenarios_for(site, count=3, seed=1, duration_s=HOUR_S, randomise_ratio=1.0)
    controller = baseline("C0+B3", layout=site.layout, limits=site.limits)

    together = run(controller, site, scenarios)
    alone = run(controller, site, scenarios[1:2])

    assert alone[0] == together[1]


def test_totals_are_those_of_the_contracts_meter(site: Site) -> None:
    """
    The meter that production uses, fed with the true readings of every step.
    """
    (scenario,) = scenarios_for(site, count=1, seed=2, duration_s=HOUR_S)
    controller = baseline("rule", layout=site.layout, limits=site.limits)
    episodes = Episodes(site, batch_size=1)
    episodes.start([np.random.default_rng(scenario.seed)], settings=settings_of(scenario))
    meter = WindowMeter()
    for step in range(round(HOUR_S / STEP_S) + 1):
        if step:
            episodes.command(controller.decide(episodes.moment))
        truth = episodes.truth
        meter.add(Telemetry(**{f.name: getattr(truth, f.name)[0] for f in fields(Telemetry)}))

    (outcome,) = run(controller, site, [scenario])

    for field in fields(meter.totals):
        assert getattr(outcome.totals, field.name) == pytest.approx(
            getattr(meter.totals, field.name), rel=2e-3
        ), field.name


def test_policy_that_never_corrects_is_the_rule(site: Site) -> None:
    scenarios = scenarios_for(site, count=2, seed=3, duration_s=HOUR_S)

    by_policy = run(PolicyController(RulePolicy(), site.limits), site, scenarios)
    by_rule = run(baseline("rule", layout=site.layout, limits=site.limits), site, scenarios)

    assert by_policy == by_rule


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("cooling", COOLING)
def test_every_baseline_asks_for_levers_the_site_has_within_its_ranges(
    site: Site, caps: str, cooling: str
) -> None:
    moment, limits = moment_of(site), site.limits

    asked = BaselineController(
        caps=caps, cooling=cooling, layout=site.layout, limits=limits
    ).decide(moment)

    assert np.array_equal(~np.isnan(asked.plant[0]), site.layout.plant_levers)
    present = asked.plant[0][site.layout.plant_levers]
    assert (present >= limits.lever_low[site.layout.plant_levers]).all()
    assert (present <= limits.lever_high[site.layout.plant_levers]).all()
    assert (asked.power_cap_w >= limits.power_cap_min_w).all()
    assert (asked.power_cap_w <= limits.power_cap_max_w).all()


def test_best_cap_per_class_is_looked_up_by_what_runs(site: Site) -> None:
    moment = moment_of(site)
    ratios = {
        "training_ratio": 0.9,
        "prefill_ratio": 0.8,
        "decode_ratio": 0.7,
        "memory_bound_ratio": 0.6,
    }
    controller = BaselineController(
        caps="C2",
        cooling="B3",
        layout=site.layout,
        limits=site.limits,
        class_cap_ratio=ratios,
    )

    asked = controller.decide(moment)

    for name, ratio in ratios.items():
        runs = moment.telemetry.group(name) == 1.0
        np.testing.assert_allclose(asked.power_cap_w[runs], ratio * 700.0)
    assert set(np.unique(asked.power_cap_w).round(6)) <= {630.0, 560.0, 490.0, 420.0}


def test_rule_notices_a_cap_that_holds_only_the_hungriest_gpu_of_a_group() -> None:
    """
    Groups of air-1mw are eight GPUs. With 0.95 of the limit as the sign of a cap that binds, their
    mean did not show it, and latency was missed 16 times as often as uncapped.
    """
    site = load_site("air-1mw")
    start = Scenario(seed=1, weather="greensboro", duration_s=12 * HOUR_S)

    def missed_s(name: str) -> float:
        controller = baseline(name, layout=site.layout, limits=site.limits)
        (outcome,) = run(controller, site, [start])
        return outcome.violations_s["latency"]

    assert missed_s("rule") < 5.0 * missed_s("C0+B3")


def test_unknown_baseline_is_refused_with_the_known_ones(site: Site) -> None:
    with pytest.raises(ValueError, match=r"no baseline C9\+B3: caps are C0, C1, C2, rule, cooling"):
        baseline("C9+B3", layout=site.layout, limits=site.limits)


def test_time_beyond_a_limit_is_counted_and_margins_are_the_least_seen(site: Site) -> None:
    """
    Cooling is lost: warm air comes back, inlets pass their limit and the count says so.
    """

    class Hot:
        name = "hot"

        def decide(self, moment: Moment) -> Setpoints:
            return Setpoints(
                power_cap_w=np.full_like(moment.baseline.power_cap_w, 700.0),
                sm_clock_max_mhz=moment.baseline.sm_clock_max_mhz,
                plant=np.where(site.layout.plant_levers, site.limits.lever_high, np.nan)
                * np.ones_like(moment.baseline.plant),
            )

    scenarios = [Scenario(seed=0, weather="miami", duration_s=6 * HOUR_S)]
    (cool,) = run(baseline("C0+B0", layout=site.layout, limits=site.limits), site, scenarios)
    (hot,) = run(Hot(), site, scenarios)

    assert cool.violations_s["inlet_temp"] == 0.0
    assert cool.inlet_margin_min_k > hot.inlet_margin_min_k
    assert cool.gpu_margin_min_k > hot.gpu_margin_min_k
    assert hot.stored_heat_kwh > cool.stored_heat_kwh


def test_days_of_evaluation_validation_and_training_never_meet() -> None:
    kinds = [set(days_of(kind)) for kind in (Days.TRAINING, Days.VALIDATION, Days.EVALUATION)]

    assert set.union(*kinds) == set(range(365))
    assert sum(len(kind) for kind in kinds) == 365


def test_scenarios_start_at_local_midnight_of_their_days(site: Site) -> None:
    for scenario in scenarios_for(site, count=6, seed=5, days=Days.EVALUATION):
        episodes = Episodes(site, batch_size=1)
        episodes.start([np.random.default_rng(scenario.seed)], settings=settings_of(scenario))
        offset_s = {"greensboro": -5.0, "miami": -5.0, "sand-point": -9.0}[scenario.weather]
        local_s = float(episodes.truth.time_s[0]) + offset_s * HOUR_S
        assert local_s % DAY_S == 0.0


def test_scenarios_with_faults_are_other_scenarios_and_equal_to_themselves(site: Site) -> None:
    quiet = scenarios_for(site, count=2, seed=3, duration_s=3 * HOUR_S)
    hard = scenarios_for(
        site,
        count=2,
        seed=3,
        duration_s=3 * HOUR_S,
        disturbances={"faults": "standard", "workload": "recorded-2023"},
    )
    rule = baseline("C0+B3", layout=site.layout, limits=site.limits)

    calm, first, second = (run(rule, site, scenarios) for scenarios in (quiet, hard, hard))

    assert first == second
    assert [o.totals for o in first] != [o.totals for o in calm]
