"""Tests of the generated page and its plots."""

from pathlib import Path

import numpy as np
import pytest

from coolcap_training.validation.check import Check, HeadroomRow, Validation, not_run
from coolcap_training.validation.page import blocks, checks_table, filled, write_page
from coolcap_training.validation.plots import write_plots

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "plant-model.md"

MET = Check(name="x: energy balance", source="s", metric="m", value=2e-7, target=1e-6, rows=1200)
MISSED = Check(name="Chiller A", source="s", metric="m", value=0.07, target=0.05, note="why")
ROW = HeadroomRow(
    site="lab-16",
    climate="miami",
    controller="B3",
    pue=1.25,
    cooling_kwh=30.0,
    facility_kwh=400.0,
    inlet_mean_c=25.0,
    inlet_max_c=25.5,
    saves_cooling_ratio=0.04,
    saves_facility_ratio=0.005,
    loss_share=0.06,
)


def _validation(*checks: Check) -> Validation:
    series = {
        "tower.range": np.ones((2, 3)),
        "resnet50.A40": np.ones((5, 3)),
    }
    return Validation(checks=checks, headroom=(ROW,), series=series)


def test_the_committed_page_has_every_block_once_and_filled() -> None:
    text = PAGE.read_text(encoding="utf-8")
    empty = filled(text, dict.fromkeys(blocks(_validation(MET)), ""))
    assert len(empty) < len(text) - 4000


def test_the_committed_page_shows_its_plots() -> None:
    for name in ("gpu-caps.svg", "equipment.svg", "headroom-lab-16.svg"):
        assert f"(images/{name})" in PAGE.read_text(encoding="utf-8")
        assert (PAGE.parent / "images" / name).stat().st_size < 200_000


def test_the_page_ends_with_what_the_model_does_not_cover() -> None:
    headings = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "## "]
    assert headings[-1] == "## What the model does not cover, and why"


def test_a_table_tells_target_status_and_note() -> None:
    table = checks_table([MET, MISSED])
    assert "| x: energy balance | s | m | 2.0e-07 | ≤ 1.0e-06 | met | 1,200 |  |" in table
    assert "| Chiller A | s | m | 0.07 | ≤ 0.05 | **missed** | 0 | 1 |" in table
    assert table.endswith("1. Why.")


def test_every_check_comes_into_exactly_one_block() -> None:
    names = ["GPU caps", "x: energy balance", "Chiller A", "CRAH fan: power", "Headroom, miami: y"]
    checks = [Check(name=n, source="s", metric="m", value=1.0, target=None) for n in names]
    texts = blocks(_validation(*checks))
    for name in names:
        assert sum(f"| {name} |" in text for text in texts.values()) == 1, name


def test_misses_are_listed_first() -> None:
    assert blocks(_validation(MET, MISSED))["missed"] == "- Chiller A: m 0.07, target ≤ 0.05."
    assert blocks(_validation(MET))["missed"] == "Every target is met."


def test_a_page_with_other_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="generated blocks gpu; chillers, gpu are needed"):
        filled("<!-- generated: gpu -->\n<!-- end of generated -->", {"gpu": "", "chillers": ""})


def test_a_page_is_not_written_from_half_the_checks(tmp_path: Path) -> None:
    missing = not_run("a", source="s", metric="m", reason="no data")
    with pytest.raises(ValueError, match="1 were not run: no data"):
        write_page(_validation(MET, missing), tmp_path / "page.md")


def test_the_same_points_give_the_same_plots(tmp_path: Path) -> None:
    first, second = (write_plots(_validation(MET), tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["gpu-caps.svg", "equipment.svg", "headroom-lab-16.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
