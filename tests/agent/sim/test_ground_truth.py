"""What really happened is added up by hand here and by the host there."""

import json

import numpy as np
import pytest

from coolcap_agent.sim.ground_truth import GroundTruth
from support.small_hall import COOLING_RATIO, DEMAND_W, SERVER_RATIO, SmallPlant
from support.small_site import small_site, telemetry


def run(truth: GroundTruth, plant: SmallPlant, inlets_c: list[float]) -> None:
    truth.add(plant.read_truth())
    for inlet_c in inlets_c:
        plant.inlet_temp_c = inlet_c
        plant.advance(30.0)
        truth.add(plant.read_truth())


def test_totals_are_those_of_the_plant() -> None:
    layout, limits = small_site()
    truth = GroundTruth(limits)

    run(truth, SmallPlant(layout, limits), [22.0] * 120)

    it_kwh = 4 * SERVER_RATIO * DEMAND_W / 1000.0
    assert truth.totals.elapsed_s == 3600.0
    assert truth.totals.it_energy_kwh == pytest.approx(it_kwh)
    assert truth.totals.facility_energy_kwh == pytest.approx((1.0 + COOLING_RATIO) * it_kwh)
    assert truth.totals.work_gpu_h == pytest.approx(4.0)
    assert truth.as_dict()["pue"] == pytest.approx(1.0 + COOLING_RATIO)


def test_minutes_above_the_inlet_limit_are_counted() -> None:
    layout, limits = small_site()
    truth = GroundTruth(limits)

    run(truth, SmallPlant(layout, limits), [26.0, 27.0, 27.5, 28.0, 26.5])

    summary = truth.as_dict()
    assert summary["violation_min"] == {
        "inlet_temp": 1.0,
        "gpu_temp": 0.0,
        "hbm_temp": 0.0,
        "latency": 0.0,
        "budget:site": 0.0,
        "budget:first rack": 0.0,
    }
    assert summary["extremes"] == {
        "inlet_temp_max_c": 28.0,
        "gpu_temp_max_c": 60.0,
        "hbm_temp_max_c": 70.0,
        "it_power_max_w": pytest.approx(1920.0),
    }


@pytest.mark.parametrize(
    ("signal", "value", "kind"),
    [
        ("gpu_temp_c", 86.0, "gpu_temp"),
        ("hbm_temp_c", 96.0, "hbm_temp"),
        ("latency_ratio", 1.1, "latency"),
    ],
)
def test_each_limit_has_its_own_minutes(signal: str, value: float, kind: str) -> None:
    truth = GroundTruth(small_site()[1])
    for time_s in (0.0, 60.0):
        truth.add(telemetry(time_s=time_s, group={signal: value}))

    minutes = truth.as_dict()["violation_min"]

    assert isinstance(minutes, dict)
    assert {name for name, value in minutes.items() if value} == {kind}
    assert minutes[kind] == 1.0


def test_budgets_are_judged_by_the_power_of_their_members() -> None:
    truth = GroundTruth(small_site()[1])
    power_w = np.array([700.0, 600.0, 100.0, 100.0])  # the first rack may take 1200 W
    for time_s in (0.0, 60.0):
        truth.add(telemetry(time_s=time_s, group={"it_power_w": power_w}))

    minutes = truth.as_dict()["violation_min"]

    assert isinstance(minutes, dict)
    assert (minutes["budget:site"], minutes["budget:first rack"]) == (0.0, 1.0)


def test_summary_of_an_empty_run_is_json_without_nan() -> None:
    text = json.dumps(GroundTruth(small_site()[1]).as_dict(), allow_nan=False)

    assert json.loads(text)["pue"] is None
