"""The compiled control step is the one that production is made of."""

from dataclasses import fields, replace

import numpy as np
import pytest

from coolcap_envs.contract.action import Action
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.episode import Episodes, EpisodeSettings
from coolcap_envs.moment import Step
from coolcap_envs.site import Site, load_site

SITES = ["lab-16", "air-1mw", "dlc-rack-scale"]
COUNT = 9
SETTINGS = EpisodeSettings(
    duration_s=86_400.0, randomise_ratio=1.0, work_value=(1.0, 4.0), any_hour=True
)
TOLERANCE = 1e-9
"""Relative. The order of sums over groups differs, and fused products round once."""


def pair(site: Site, *, count: int = COUNT, threads: int = 1) -> tuple[Episodes, Episodes]:
    """Return equal episodes, compiled and of parts."""
    made = []
    for compiled in (True, False):
        episodes = Episodes(
            site,
            batch_size=count,
            settings=SETTINGS,
            compiled=compiled,
            threads=threads if compiled else 1,
        )
        episodes.start([np.random.default_rng([1, i]) for i in range(count)])
        made.append(episodes)
    return made[0], made[1]


def close(one: FloatArray, other: FloatArray) -> None:
    scale = np.max(np.abs(other[np.isfinite(other)]), initial=1.0)
    np.testing.assert_allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * scale)


def same_setpoints(one: Setpoints, other: Setpoints) -> None:
    close(one.power_cap_w, other.power_cap_w)
    close(one.plant, other.plant)


def same(got: tuple[Episodes, Step], wanted: tuple[Episodes, Step]) -> None:
    one, other = got[1], wanted[1]
    same_setpoints(one.asked, other.asked)
    same_setpoints(one.shielded.setpoints, other.shielded.setpoints)
    np.testing.assert_array_equal(one.shielded.group_reasons, other.shielded.group_reasons)
    np.testing.assert_array_equal(one.shielded.plant_reasons, other.shielded.plant_reasons)
    np.testing.assert_array_equal(one.shielded_count, other.shielded_count)
    for name in ("total", "groups", "plant"):
        close(getattr(one.reward, name), getattr(other.reward, name))
    for name, value in {**other.reward.terms, **other.reward.costs}.items():
        close({**one.reward.terms, **one.reward.costs}[name], value)
    now, then = got[0].moment, wanted[0].moment
    same_setpoints(now.baseline, then.baseline)
    for field in fields(then.telemetry):
        close(getattr(now.telemetry, field.name), getattr(then.telemetry, field.name))
    close(now.observation.groups, then.observation.groups)
    close(now.observation.plant, then.observation.plant)


@pytest.mark.parametrize("name", SITES)
def test_compiled_steps_are_those_of_the_parts(name: str) -> None:
    """
    Random corrections, also beyond their range, while devices fail; caps, levers, reasons of the
    shield, rule, observation and reward agree to 1e-9.
    """
    site = load_site(name)
    compiled, parts = pair(site)
    random = np.random.default_rng(0)
    groups = site.layout.group_count
    for k in range(60):
        if k == 20:
            for episodes in (compiled, parts):
                episodes.plant.set_available(crah=0.3, chiller=0.2)
        action = Action(
            groups=random.uniform(-1.3, 1.3, (COUNT, groups, 2)),
            plant=random.uniform(-1.3, 1.3, (COUNT, len(PLANT_LEVERS))),
        )
        same((compiled, compiled.step(action)), (parts, parts.step(action)))


def test_senseless_setpoints_are_refused_alike() -> None:
    """
    Not a number, infinite, far out of range: the shield answers the same in both.
    """
    site = load_site("lab-16")
    compiled, parts = pair(site)
    random = np.random.default_rng(3)
    odd = np.array([np.nan, np.inf, -np.inf, -1e9, 1e9, 0.0])
    for _ in range(20):
        asked = Setpoints(
            power_cap_w=random.choice([*odd, 300.0, 650.0], (COUNT, 16)),
            sm_clock_max_mhz=np.full((COUNT, 16), np.nan),
            plant=random.choice([*odd, 12.0, 22.0, 0.7], (COUNT, len(PLANT_LEVERS))),
        )
        same((compiled, compiled.command(asked)), (parts, parts.command(asked)))


@pytest.mark.parametrize("share", [0.55, 0.2])
def test_budgets_that_bind_are_met_alike(share: float) -> None:
    """
    Budgets nested and with bursts, priorities that differ; at 0.2 they cannot be met at all.
    """
    site = load_site("air-1mw")
    layout = replace(site.layout, priority=np.arange(128) % 3)
    limits = replace(
        site.limits,
        budget_w=site.limits.budget_w * share,
        budget_burst_ratio=np.linspace(0.0, 0.3, len(site.limits.budget_w)),
    )
    tight = replace(site, layout=layout, limits=limits)
    compiled, parts = pair(tight, count=3)
    random = np.random.default_rng(4)
    for _ in range(8):
        action = Action(
            groups=random.uniform(-1.0, 1.0, (3, 128, 2)), plant=np.zeros((3, len(PLANT_LEVERS)))
        )
        one, other = compiled.step(action), parts.step(action)
        reasons = one.shielded.group_reasons
        np.testing.assert_array_equal(reasons != 0, other.shielded.group_reasons != 0)
        # The search for the level ends within 1e-8 of a budget, here of up to a megawatt.
        np.testing.assert_allclose(
            one.shielded.setpoints.power_cap_w,
            other.shielded.setpoints.power_cap_w,
            rtol=1e-6,
        )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_batches_change_no_bit(threads: int) -> None:
    site = load_site("lab-16")
    many, _ = pair(site, count=27, threads=threads)
    alone = Episodes(site, batch_size=1, settings=SETTINGS)
    alone.start([np.random.default_rng([1, 20])])
    random = np.random.default_rng(5)
    for _ in range(10):
        groups = random.uniform(-1.0, 1.0, (27, 16, 2))
        plant = random.uniform(-1.0, 1.0, (27, len(PLANT_LEVERS)))
        crowd = many.step(Action(groups=groups, plant=plant))
        one = alone.step(Action(groups=groups[20:21], plant=plant[20:21]))
        assert crowd.reward.total[20] == one.reward.total[0]
        np.testing.assert_array_equal(
            many.moment.observation.groups[20], alone.moment.observation.groups[0]
        )


def test_what_has_passed_is_not_handed_out() -> None:
    episodes, _ = pair(load_site("lab-16"), count=2)
    action = Action.neutral(2, 16)
    before, kept = episodes.moment, episodes.moment.baseline
    step = episodes.step(action)
    assert before.baseline is kept
    with pytest.raises(RuntimeError, match="this moment has passed"):
        _ = before.telemetry
    episodes.step(action)
    with pytest.raises(RuntimeError, match="this moment has passed"):
        _ = step.shielded


def test_the_rule_goes_on_when_faults_end_the_compiled_steps() -> None:
    """
    Members go on where they were while one of them starts an episode with faults.
    """
    site = load_site("lab-16")
    compiled, parts = pair(site, count=3)
    random = np.random.default_rng(6)
    for k in range(30):
        if k == 15:
            for episodes in (compiled, parts):
                episodes.start(
                    [np.random.default_rng([2, i]) for i in range(3)],
                    where=np.array([False, True, False]),
                    settings=replace(SETTINGS, faults="standard"),
                )
        action = Action(
            groups=random.uniform(-1.0, 1.0, (3, 16, 2)),
            plant=random.uniform(-1.0, 1.0, (3, len(PLANT_LEVERS))),
        )
        same((compiled, compiled.step(action)), (parts, parts.step(action)))
