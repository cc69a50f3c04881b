"""The report on logs whose saving is known: claimed where it is there, refused where it is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.savings.html import page
from coolcap_agent.savings.log import SavingsError, read_files
from coolcap_agent.savings.report import MAIN, PAIRS_MIN, Report, make_report
from support.switchback_log import DAY_S, START_S, Truth, plan, switchback_log

TRUE_SAVING = 0.10


def report_of(folder: Path, body: bytes, *, capacity: float | None = None) -> Report:
    path = folder / "telemetry.lp"
    path.write_bytes(body)
    site, log = read_files([path])
    return make_report(site, log, heat_capacity_kwh_per_k=capacity)


def test_saving_that_is_there_is_claimed_with_an_interval_that_holds_it(tmp_path: Path) -> None:
    report = report_of(tmp_path, switchback_log(Truth(saving=TRUE_SAVING), plan(20)))

    e = report.relative[MAIN]
    assert report.refusals == ()
    assert e.low < -TRUE_SAVING < e.high
    assert e.count == 20
    assert "less facility energy per unit of work" in report.claim
    assert "+0.0 % throughput" in report.claim


@pytest.mark.parametrize("seed", range(8))
def test_no_saving_is_hardly_ever_claimed(tmp_path: Path, seed: int) -> None:
    """One in twenty such logs may; none of these seeds is one."""
    report = report_of(tmp_path, switchback_log(Truth(saving=0.0), plan(12), seed=seed))

    assert any("spans zero" in text or "chance" in text for text in report.refusals)
    assert report.claim.startswith("The data do not support a claim")


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    from coolcap_agent.savings.estimate import paired

    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        e = paired(rng.normal(-0.05, 0.04, 10))
        held += e.low <= -0.05 <= e.high

    assert 0.92 <= held / 400 <= 0.99


@pytest.mark.parametrize("pairs", [1, 2, PAIRS_MIN - 1])
def test_too_few_blocks_are_refused_however_large_the_saving(tmp_path: Path, pairs: int) -> None:
    truth = Truth(saving=0.2, noise=0.001)

    report = report_of(tmp_path, switchback_log(truth, plan(pairs)))

    assert f"{pairs} pairs of blocks count, at least {PAIRS_MIN} are needed" in report.claim


def test_more_energy_is_said_as_plainly(tmp_path: Path) -> None:
    report = report_of(tmp_path, switchback_log(Truth(saving=-0.1, noise=0.01), plan(12)))

    assert "MORE facility energy per unit of work" in report.claim


def test_work_lost_is_told_beside_the_energy(tmp_path: Path) -> None:
    truth = Truth(saving=0.1, noise=0.01, work_loss=0.05)

    report = report_of(tmp_path, switchback_log(truth, plan(12)))

    assert report.relative["work_gpu_h"].mean == pytest.approx(-0.05, abs=0.002)
    assert "at -5.0 % throughput" in report.claim


def test_heat_left_behind_is_counted_and_refused_if_it_is_much(tmp_path: Path) -> None:
    truth = Truth(saving=0.05, noise=0.005, debt_k=2.0)
    body = switchback_log(truth, plan(12, block_s=4 * 3600.0))

    unknown = report_of(tmp_path, body)
    small, large = (report_of(tmp_path, body, capacity=c) for c in (0.1, 50.0))

    assert unknown.debt_kwh is None
    assert unknown.absolute["return_air_temp_c_at_block_end"].mean == pytest.approx(2.0)
    assert small.debt_kwh == pytest.approx(0.2)
    assert small.refusals == ()
    assert "heat stored at block ends differs by +100.00 kWh" in large.claim


def test_difference_that_is_weather_alone_is_refused(tmp_path: Path) -> None:
    """The policy's blocks were the cooler ones, and energy follows the weather in this log."""
    truth = Truth(saving=0.0, noise=0.03, luck=-0.1)

    report = report_of(tmp_path, switchback_log(truth, plan(16)))

    assert report.relative[MAIN].clear
    assert report.absolute["wet_bulb_temp_c"].mean < -1.0
    assert "at equal weather and work the interval" in report.claim


def test_blocks_without_cover_or_with_overrides_are_left_out_with_their_pair(
    tmp_path: Path,
) -> None:
    of = plan(10)
    kept = []
    for text in switchback_log(Truth(saving=0.1, noise=0.01), of).decode().splitlines():
        block = int((int(text.rsplit(" ", 1)[1]) * 1e-9 - START_S) / DAY_S)
        if block == 3 and text.startswith("facility"):
            continue
        if block == 6 and text.startswith("switchback"):
            text = text.replace("undisturbed=1", "undisturbed=0")
        kept.append(text)

    report = report_of(tmp_path, ("\n".join(kept) + "\n").encode())

    assert "counters cover 0 %" in report.blocks[3].problem
    assert "undisturbed for 0 %" in report.blocks[6].problem
    assert report.relative[MAIN].count == 8


def test_controller_that_started_anew_loses_one_step_only(tmp_path: Path) -> None:
    """Its meters begin at zero again."""
    of = plan(8)
    body = switchback_log(Truth(saving=0.1, noise=0.01), of)
    whole = report_of(tmp_path, body)
    lines = body.decode().splitlines()
    middle = len(lines) // 2
    first_kwh = float(lines[middle - middle % 4].split("facility_energy_kwh=")[1].split(",")[0])
    again = []
    for n, text in enumerate(lines):
        if n >= middle and text.startswith("facility"):
            said = text.split("facility_energy_kwh=")[1].split(",")[0]
            text = text.replace(f"={said}", f"={float(said) - first_kwh:.10g}")
        again.append(text)

    anew = report_of(tmp_path, ("\n".join(again) + "\n").encode())

    assert anew.relative[MAIN].mean == pytest.approx(whole.relative[MAIN].mean, abs=1e-3)


def test_same_log_gives_the_same_report(tmp_path: Path) -> None:
    body = switchback_log(Truth(saving=0.1), plan(8))

    assert report_of(tmp_path, body).as_json() == report_of(tmp_path, body).as_json()


def test_report_is_json_and_a_page_that_needs_no_network(tmp_path: Path) -> None:
    report = report_of(tmp_path, switchback_log(Truth(saving=0.1), plan(8)))

    text = page(report)

    json.dumps(report.as_json(), allow_nan=False)
    assert report.claim in text
    assert "http" not in text
    assert text.count("<circle") == 8


def test_log_without_a_switchback_says_how_to_make_one(tmp_path: Path) -> None:
    lines = switchback_log(Truth(saving=0.1), plan(2)).splitlines(keepends=True)
    body = b"".join(text for text in lines if not text.startswith(b"switchback"))

    with pytest.raises(SavingsError, match=r"holds no switchback.*coolcap switchback"):
        report_of(tmp_path, body)


def test_log_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(SavingsError, match="holds none of facility_1m, plant_1m, switchback"):
        report_of(tmp_path, b"cpu,host=a usage=1 1\n")


def test_log_of_two_sites_needs_a_choice(tmp_path: Path) -> None:
    body = switchback_log(Truth(saving=0.1), plan(7))
    both = body + body.replace(b"synthetic\\ hall", b"other")
    path = tmp_path / "telemetry.lp"
    path.write_bytes(both)

    with pytest.raises(SavingsError, match="choose one with --site"):
        read_files([path])
    site, log = read_files([path], site="synthetic hall")
    assert site == "synthetic hall"
    assert make_report(site, log).relative[MAIN].count == 7


def test_log_that_comes_in_rotated_files_is_one(tmp_path: Path) -> None:
    lines = switchback_log(Truth(saving=0.1), plan(7)).splitlines(keepends=True)
    parts = []
    for n, part in enumerate((lines[: len(lines) // 2], lines[len(lines) // 3 :])):
        parts.append(tmp_path / f"telemetry.lp.{n}")
        parts[-1].write_bytes(b"".join(part))

    _, log = read_files(parts[::-1])

    assert make_report("x", log).relative[MAIN].count == 7
