"""Tests of the whole control step on racks that are cooled by liquid."""

import numpy as np
import pytest

from coolcap_envs.baselines import baseline
from coolcap_envs.contract.observation import PLANT_FEATURES
from coolcap_envs.episode import Episodes, EpisodeSettings
from coolcap_envs.site import Site, load_site


@pytest.fixture(name="site", scope="module")
def _site() -> Site:
    return load_site("dlc-rack-scale")


def run(site: Site, name: str, *, hours: int) -> Episodes:
    settings = EpisodeSettings(duration_s=86_400.0, weather="miami", start_time_s=1_752_600_000.0)
    episodes = Episodes(site, batch_size=1, settings=settings)
    episodes.start([np.random.default_rng(1)])
    controller = baseline(name, layout=site.layout, limits=site.limits)
    for _ in range(hours * 120):
        episodes.command(controller.decide(episodes.moment))
    return episodes


def test_the_rule_warms_and_slows_the_coolant_while_gpus_stay_cool(site: Site) -> None:
    """Miami in July, where a fixed 25 °C keeps every fan at full speed."""
    ruled, fixed = run(site, "rule", hours=6), run(site, "C0+B0", hours=6)
    truth = ruled.plant.read_truth()
    assert truth.group("gpu_temp_c").max() < site.limits.gpu_temp_max_c
    assert truth.of_plant("cdu_flow_ratio")[0] < 0.95
    margin_k = truth.of_plant("cdu_supply_temp_c") - truth.of_plant("dew_point_c")
    assert margin_k[0] >= 2.0
    mine, legacy = ruled.plant.totals(), fixed.plant.totals()
    assert np.all(mine.cooling_energy_kwh < 0.9 * legacy.cooling_energy_kwh)
    assert np.abs(mine.energy_residual_ratio).max() < 1e-10


def test_a_policy_sees_the_coolant_and_its_levers(site: Site) -> None:
    episodes = run(site, "rule", hours=1)
    seen = dict(
        zip(
            (f.name for f in PLANT_FEATURES),
            episodes.moment.observation.plant[0].tolist(),
            strict=True,
        )
    )
    assert seen["has_cdu_supply_temp_setpoint_c"] == 1.0
    assert seen["has_cdu_flow_setpoint_ratio"] == 1.0
    assert 20.0 < seen["cdu_supply_temp_c"] < seen["cdu_return_temp_c"] < 60.0
