"""What people asked for outlives a restart."""

from pathlib import Path

import pytest

from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.switchback import Plan
from coolcap_agent.controller.wishes import Wishes, WishesError, WishesFile

OVERRIDE = Override(
    subject="node-1/0",
    value=300.0,
    start_time_s=10.0,
    end_time_s=100.0,
    who="operator",
    reason="a noisy fan",
)
WISHES = Wishes(
    canary_ratio=0.25,
    overrides=(OVERRIDE,),
    switchback=Plan(start_time_s=0.0, block_s=3600.0, washout_s=60.0, pair_count=9, seed=1),
)


def test_wishes_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    file = WishesFile(tmp_path / "wishes.json")
    file.save(WISHES)

    assert WishesFile(tmp_path / "wishes.json").load() == WISHES


def test_no_file_is_no_wish(tmp_path: Path) -> None:
    assert WishesFile(tmp_path / "wishes.json").load() == Wishes()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"format": 2}',
        '{"format": 1, "canary_ratio": 7, "overrides": [], "switchback": null}',
    ],
)
def test_damaged_file_is_told_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wishes.json"
    path.write_text(text)

    with pytest.raises(WishesError, match=r"is damaged .*remove the file"):
        WishesFile(path).load()


def test_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(WishesError, match="cannot be written"):
        WishesFile(tmp_path / "no" / "wishes.json").save(WISHES)


def test_override_replaces_an_earlier_one_and_ends_at_its_time() -> None:
    again = Override(
        subject="node-1/0",
        value=350.0,
        start_time_s=20.0,
        end_time_s=50.0,
        who="operator",
        reason="better",
    )

    wishes = WISHES.with_override(again)

    assert wishes.overrides == (again,)
    assert wishes.at(49.9) is wishes
    assert wishes.at(50.0).overrides == ()
    assert wishes.without_override("node-1/0").overrides == ()
