"""Tests of the report: self-contained, complete, and true to its inputs."""

import re
from pathlib import Path

import pytest

from coolcap_agent.demo.report import ReportInput, write_report
from coolcap_agent.demo.result import Result, cells
from coolcap_envs.contract.meters import Totals
from support.small_site import small_site


def result(name: str, *, facility_kwh: float, work: float = 100.0) -> Result:
    return Result(
        name=name,
        meaning=f"what {name} means",
        totals=Totals(
            elapsed_s=86400.0,
            covered_s=86400.0,
            it_energy_kwh=80.0,
            facility_energy_kwh=facility_kwh,
            makeup_water_l=40.0,
            work_gpu_h=work,
        ),
        violation_min={"inlet_temp": 1.5, "budget:site": 0.5, "latency": 7.0},
    )


POLICY, REFERENCE = result("policy", facility_kwh=90.0), result("C0+B3", facility_kwh=100.0)


def test_the_saving_is_energy_per_work_not_energy() -> None:
    lazy = result("lazy", facility_kwh=50.0, work=50.0)
    assert lazy.saving_ratio(REFERENCE) == pytest.approx(0.0)
    assert POLICY.saving_ratio(REFERENCE) == pytest.approx(0.1)


def test_a_row_shows_the_figures_of_its_result() -> None:
    assert cells(POLICY, REFERENCE) == (
        "policy", "0.9000", "-10.0 %", "90.0", "100.0", "1.125", "0.50", "2.0", "7.0",
    )  # fmt: skip


def test_the_report_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    log = tmp_path / "telemetry.lp"
    lines = []
    for hour in range(24):
        stamp = hour * 3600 * 10**9
        lines.append(
            f"plant,site=s it_power_w={1000 + hour},crah_fan_power_w=10,chiller_power_w=20,"
            "pump_power_w=5,tower_fan_power_w=5,loss_power_w=40,inlet_temp_max_c=24,"
            f"supply_air_temp_c=20,supply_air_temp_setpoint_c=20 {stamp}"
        )
        lines += [f"group,group=g{g} power_limit_w={300 + 10 * g} {stamp}" for g in range(3)]
    log.write_text("\n".join(lines))
    page = tmp_path / "report.html"
    write_report(
        page,
        ReportInput(
            site="lab <1>",
            subtitle="one day",
            results=[POLICY, REFERENCE],
            reference=REFERENCE,
            limits=small_site()[1],
            telemetry_files=[log],
            facts=[("ticks", "2880")],
        ),
    )
    text = page.read_text()
    assert "lab &lt;1&gt;" in text
    assert "-10.0 %" in text
    assert text.count("<svg") == 5
    assert "$" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    loaded = re.findall(r"(?:src|href)=\"(?!#|data:)([^\"]*)\"", text)
    assert loaded == []
