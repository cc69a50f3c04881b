"""The control step of simulation: starts, draws, and the shield between action and plant."""

import numpy as np
import pytest

from coolcap_envs.contract.action import Action
from coolcap_envs.episode import STEP_S, Days, Episodes, EpisodeSettings
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.site import Site, load_site
from coolcap_envs.weather import load_weather

COUNT = 6


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site("lab-16")


def generators(seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(COUNT)]


def random_action(site: Site, seed: int) -> Action:
    random = np.random.default_rng(seed)
    neutral = Action.neutral(COUNT, site.layout.group_count)
    return Action(
        groups=random.uniform(-1.0, 1.0, neutral.groups.shape),
        plant=random.uniform(-1.0, 1.0, neutral.plant.shape),
    )


def test_episodes_start_from_default_setpoints_under_the_rule(site: Site) -> None:
    episodes = Episodes(site, batch_size=COUNT)
    episodes.start(generators())

    baseline, layout = episodes.moment.baseline, site.layout

    np.testing.assert_array_equal(baseline.power_cap_w[0], layout.power_limit_default_w)
    np.testing.assert_array_equal(baseline.plant[0], site.limits.lever_default)
    in_force = episodes.truth.of_plant("supply_air_temp_setpoint_c")
    np.testing.assert_array_equal(in_force, site.limits.lever_default[0])


def test_what_is_not_fixed_is_drawn_within_its_range(site: Site) -> None:
    settings = EpisodeSettings(work_value=(1.0, 4.0), any_hour=True)
    episodes = Episodes(site, batch_size=COUNT, settings=settings)
    episodes.start(generators())

    hours = episodes.truth.time_s % 86_400.0 / 3600.0

    assert np.unique(hours).size == COUNT
    assert np.unique(episodes.work_value).size == COUNT
    assert ((episodes.work_value >= 1.0) & (episodes.work_value <= 4.0)).all()


def test_fixed_start_weather_and_plant_are_kept(site: Site) -> None:
    """
    Equal scenarios whatever the generators: how rivals of a demonstration are made equal.
    """
    start_s = 1_750_000_020.0
    settings = EpisodeSettings(weather="miami", start_time_s=start_s, plant_seed=42)
    episodes = Episodes(site, batch_size=COUNT, settings=settings)

    episodes.start(generators(seed=1))

    np.testing.assert_array_equal(episodes.truth.time_s, start_s)
    groups = episodes.moment.telemetry.groups
    np.testing.assert_array_equal(groups, np.broadcast_to(groups[0], groups.shape))


def test_days_are_counted_on_the_sites_own_calendar(site: Site) -> None:
    settings = EpisodeSettings(weather="sand-point", days=Days.EVALUATION)
    episodes = Episodes(site, batch_size=COUNT, settings=settings)
    episodes.start(generators())

    local_s = episodes.truth.time_s + 3600.0 * load_weather("sand-point").utc_offset_h
    new_year_s = np.datetime64("2025-01-01", "s").astype(np.int64)
    weeks = (local_s - new_year_s) // (7 * 86_400.0)

    assert set(weeks % 6) == {4.0}


def test_whatever_is_asked_what_is_in_force_keeps_to_the_limits(site: Site) -> None:
    settings = EpisodeSettings(randomise_ratio=1.0)
    episodes = Episodes(site, batch_size=COUNT, settings=settings)
    episodes.start(generators())
    limits = site.limits
    present = site.layout.plant_levers

    for k in range(40):
        telemetry = episodes.moment.telemetry
        step = episodes.step(random_action(site, k))
        allowed = step.shielded.setpoints
        assert (allowed.power_cap_w >= limits.power_cap_min_w).all()
        assert (allowed.power_cap_w <= limits.power_cap_max_w).all()
        assert (allowed.plant[:, present] >= limits.lever_low[present]).all()
        assert (allowed.plant[:, present] <= limits.lever_high[present]).all()
        bound_w = worst_case_power_w(
            allowed.power_cap_w, other_power_w(telemetry, site.layout), site.layout, limits
        )
        assert (bound_w <= limits.budget_w * (1.0 + 1e-9)).all()


def test_corrections_move_the_plant_and_zero_is_the_rule(site: Site) -> None:
    def cap_after(action: Action) -> np.ndarray:
        episodes = Episodes(site, batch_size=COUNT)
        episodes.start(generators())
        return episodes.step(action).asked.power_cap_w

    neutral = Action.neutral(COUNT, site.layout.group_count)
    lower = Action(groups=neutral.groups - 0.5, plant=neutral.plant)

    np.testing.assert_array_equal(cap_after(neutral)[0], site.layout.power_limit_default_w)
    assert (cap_after(lower) < cap_after(neutral)).all()


def test_episode_is_over_after_its_duration_and_not_before(site: Site) -> None:
    episodes = Episodes(site, batch_size=COUNT, settings=EpisodeSettings(duration_s=3 * STEP_S))
    episodes.start(generators())
    neutral = Action.neutral(COUNT, site.layout.group_count)

    ends = [episodes.step(neutral).over.tolist() for _ in range(3)]

    assert ends == [[False] * COUNT, [False] * COUNT, [True] * COUNT]


def test_asking_before_the_start_is_an_error(site: Site) -> None:
    with pytest.raises(RuntimeError, match="call start"):
        _ = Episodes(site, batch_size=1).moment
