"""The plant agent looks after what it holds by itself, and knows when to stop."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from coolcap_agent.audit import AuditError, verify
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.lease import Lease
from coolcap_agent.plant.config import read_plant_config
from coolcap_agent.plant.server import plant_reset
from coolcap_agent.plant.state import PlantState
from coolcap_agent.plant.trip import TripError
from coolcap_agent.rpc.refusals import RefusedError
from support.watched_plant import CDU, CW, SUPPLY, WatchedPlant, own_limits, watched_plant


def played(
    folder: Path, story: Callable[[WatchedPlant], Awaitable[None]], *, more: str = ""
) -> None:
    """Let a story happen to a plant agent that has read once."""

    async def run() -> None:
        async with watched_plant(folder, more=more) as plant:
            await plant.sample()
            await story(plant)

    asyncio.run(run())


def settled(plant: WatchedPlant) -> PlantState:
    """The state, looked at anew."""
    return plant.state


async def lower_cdu_to(plant: WatchedPlant, value: float, *, reaches: float | None = None) -> Lease:
    """Command the coolant's temperature until it is there."""
    lease = await plant.acquire()
    for _ in range(20):
        plant.clock.time_s += 60.0
        lease = await plant.acquire()
        await plant.command(lease, **{CDU: value})
    assert plant.driver.values[CDU] == (value if reaches is None else reaches)
    return lease


def test_coolant_stays_two_kelvin_above_the_dew_point(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await plant.sample(dew_point_c=18.5, after_s=3600.0)
        await lower_cdu_to(plant, 18.0, reaches=20.5)
        (result,) = (await plant.command(await plant.acquire(), **{CDU: 18.0})).results
        assert plant.driver.values[CDU] == 20.5
        assert result.outcome is Outcome.CLAMPED
        assert "2 K above the hall's dew point" in result.message

    played(tmp_path, story)


def test_held_coolant_follows_a_rising_dew_point_without_a_command(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await lower_cdu_to(plant, 20.0)
        await plant.sample(after_s=30.0, dew_point_c=21.0)
        await plant.acquire()
        await plant.sample(after_s=1.0)
        assert plant.driver.values[CDU] == 23.0

    played(tmp_path, story)


def test_setpoint_may_rise_only_while_its_reading_is_not_known(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await plant.sample(wet_bulb_temp_c=math.nan)
        lease = await plant.acquire()
        (lower,) = (await plant.command(lease, **{CW: 20.0})).results
        plant.clock.time_s += 60.0
        (higher,) = (await plant.command(lease, **{CW: 25.0})).results
        assert lower.written == 24.0
        assert "the wet bulb is not known" in lower.message
        assert higher.written == 25.0

    played(tmp_path, story)


def test_assumed_dew_point_counts_while_none_is_known(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await plant.sample(dew_point_c=math.nan)
        for _ in range(12):
            plant.clock.time_s += 60.0
            await plant.command(await plant.acquire(), **{CDU: 18.0})
        assert plant.driver.values[CDU] == 22.0

    played(tmp_path, story, more="[limits.joint]\ndew_point_assumed_c = 20.0\n")


def test_dew_point_that_leaves_no_value_hands_back(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await lower_cdu_to(plant, 20.0)
        await plant.sample(after_s=60.0, dew_point_c=39.0)
        assert plant.state is PlantState.FALLBACK
        assert "no value is left" in plant.agent.watch.reason
        assert plant.driver.values[CDU] > 20.0

    played(tmp_path, story)


def test_nothing_cools_less_while_the_inlet_is_not_known(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        lease = await plant.acquire()
        await plant.command(lease, **{SUPPLY: 21.0})
        await plant.sample(inlet_temp_max_c=math.nan)
        assert plant.state is PlantState.HOLD
        (warmer,) = (await plant.command(lease, **{SUPPLY: 24.0})).results
        (cooler,) = (await plant.command(lease, **{SUPPLY: 20.9})).results
        assert warmer.written == 21.0
        assert "nothing may cool less" in warmer.message
        assert cooler.written == 20.9

    played(tmp_path, story)


def test_inlet_unknown_for_too_long_hands_back_until_all_has_been_well(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await plant.command(await plant.acquire(), **{SUPPLY: 21.0})
        for _ in range(5):
            await plant.acquire() if plant.state is PlantState.COMMANDED else None
            await plant.sample(inlet_temp_max_c=math.nan)
        assert plant.state is PlantState.FALLBACK
        assert plant.driver.values[SUPPLY] == 20.0
        with pytest.raises(RefusedError, match="try again when it is well"):
            await plant.acquire()
        await plant.sample(inlet_temp_max_c=23.0)
        with pytest.raises(RefusedError, match="fallback"):
            await plant.acquire()
        await plant.sample(after_s=31.0)
        await plant.sample(after_s=31.0)
        assert settled(plant) is PlantState.LOCAL
        await plant.acquire()

    played(tmp_path, story)


async def overheat(plant: WatchedPlant) -> None:
    """Command, and let the inlet go above its limit at a believable pace."""
    await plant.command(await plant.acquire(), **{SUPPLY: 21.0})
    for inlet_c in (26.0, 29.0, 33.0):
        await plant.sample(after_s=20.0, inlet_temp_max_c=inlet_c)


def test_inlet_above_its_limit_trips_and_stays_tripped_over_a_restart(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await overheat(plant)
        assert plant.state is PlantState.TRIPPED
        await plant.sample(inlet_temp_max_c=23.0)
        await plant.sample(after_s=3600.0)
        assert plant.state is PlantState.TRIPPED
        assert plant.driver.values[SUPPLY] == 20.0
        with pytest.raises(RefusedError, match="a person must look"):
            await plant.acquire()

    played(tmp_path, story)

    async def restarted(plant: WatchedPlant) -> None:
        assert plant.state is PlantState.TRIPPED
        with pytest.raises(RefusedError, match="tripped"):
            await plant.acquire()

    played(tmp_path, restarted)


def test_person_resets_a_trip_when_its_cause_is_over_and_not_before(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await overheat(plant)
        path = tmp_path / "plant.toml"
        trip = plant_reset(path, who="mary", reason="valve was shut")
        assert "within 15 min" in trip.why
        await plant.sample(after_s=20.0, inlet_temp_max_c=33.0)
        assert plant.state is PlantState.TRIPPED
        await plant.sample(after_s=3600.0, inlet_temp_max_c=23.0)
        await plant.sample(after_s=3600.0)
        assert plant.state is PlantState.TRIPPED, "the refused wish must not be kept"
        plant_reset(path, who="mary", reason="valve is open")
        await plant.sample()
        assert settled(plant) is PlantState.LOCAL
        with pytest.raises(TripError, match="nothing to reset"):
            plant_reset(path, who="mary", reason="again")

    played(tmp_path, story)
    entries = [
        json.loads(line) for line in (tmp_path / "state/audit.jsonl").read_text().splitlines()
    ]
    said = [(entry["who"], entry["what"]) for entry in entries]
    assert ("mary", "reset the trip") in said
    assert ("agent", "state commanded to tripped") in said


def test_inlet_that_changes_faster_than_ashrae_allows_trips(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await plant.command(await plant.acquire(), **{SUPPLY: 21.0})
        for k in range(1, 12):
            await plant.acquire() if plant.state is not PlantState.TRIPPED else None
            await plant.sample(after_s=60.0, inlet_temp_max_c=23.0 + 0.5 * k)
        assert plant.state is PlantState.TRIPPED
        assert "rose by 5.5 K within 15 min" in plant.agent.watch.reason

    played(tmp_path, story)


def test_setpoints_stop_pushing_an_inlet_that_nears_its_permitted_change(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        await plant.command(await plant.acquire(), **{SUPPLY: 20.5})
        await plant.sample(after_s=60.0, inlet_temp_max_c=27.0)
        (warmer,) = (await plant.command(await plant.acquire(), **{SUPPLY: 22.0})).results
        assert warmer.written == 20.5
        assert "most of what a window permits" in warmer.message

    played(tmp_path, story)


def test_local_setpoint_outside_own_limits_is_not_taken_over(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        plant.driver.values[SUPPLY] = 30.0
        (result,) = (await plant.command(await plant.acquire(), **{SUPPLY: 22.0})).results
        assert result.outcome is Outcome.REFUSED_OUT_OF_RANGE
        assert "set it locally to a value inside, or widen the limits" in result.message
        assert plant.driver.written == []

    played(tmp_path, story)


def test_narrower_limits_bring_held_setpoints_in_within_their_slew(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        lease = await plant.acquire()
        for _ in range(4):
            plant.clock.time_s += 60.0
            await plant.command(await plant.acquire(), **{SUPPLY: 25.0})
        held = plant.driver.values[SUPPLY]
        path = tmp_path / "plant.toml"
        text = path.read_text().replace(own_limits(), own_limits(**{SUPPLY: (16.0, 21.0)}))
        path.write_text(text)
        await plant.agent.reload(read_plant_config(path))
        await plant.sample(after_s=60.0)
        first = plant.driver.values[SUPPLY]
        for _ in range(6):
            await plant.acquire()
            await plant.sample(after_s=60.0)
        assert held > 22.0
        assert first == pytest.approx(held - 0.5)
        assert plant.driver.values[SUPPLY] == 21.0
        assert plant.agent.guard.leases.live() is not None
        assert lease.epoch == 1

    played(tmp_path, story)


def test_too_many_fallbacks_in_a_day_are_a_trip(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        for k in range(3):
            await plant.command(await plant.acquire(), **{SUPPLY: 21.0})
            for _ in range(5):
                if plant.state is PlantState.COMMANDED or plant.state is PlantState.HOLD:
                    await plant.acquire()
                await plant.sample(inlet_temp_max_c=math.nan)
            assert plant.state is (PlantState.FALLBACK if k < 2 else PlantState.TRIPPED)
            for _ in range(4):
                await plant.sample(inlet_temp_max_c=23.0, after_s=31.0)

    played(tmp_path, story)


def test_every_write_is_in_a_chain_that_breaks_when_it_is_changed(tmp_path: Path) -> None:
    async def story(plant: WatchedPlant) -> None:
        lease = await plant.acquire()
        await plant.command(lease, **{SUPPLY: 21.0})
        await plant.agent.guard.release(lease_id=lease.lease_id, epoch=lease.epoch)
        await plant.sample(after_s=400.0)

    played(tmp_path, story)
    path = tmp_path / "state" / "audit.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    command = next(entry for entry in entries if entry["who"] == "control")
    back = [entry for entry in entries if entry["who"] == "agent" and "write" in entry["what"]]

    assert verify(path).count == len(entries)
    assert command["what"] == f"write {SUPPLY}"
    assert command["reason"] == "command 1"
    assert (command["value_before"], command["value_asked"], command["value_after"]) == (
        20.0,
        21.0,
        21.0,
    )
    assert (command["epoch"], command["outcome"]) == (1, "applied")
    assert back[-1]["value_asked"] == 20.0
    path.write_text(path.read_text().replace('"value_asked":21.0', '"value_asked":20.5'))
    with pytest.raises(AuditError, match="does not follow"):
        verify(path)
