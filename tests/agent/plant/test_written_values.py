"""Whatever is commanded and whatever the sensors show, what is written stays inside all limits."""

import asyncio
import contextlib
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coolcap_agent.rpc.refusals import RefusedError
from support.watched_plant import (
    CDU,
    CW,
    DEVICE,
    LOCAL,
    OWN,
    RATE_PER_MIN,
    STEP_SPAN_MAX_S,
    WatchedPlant,
    Written,
    watched_plant,
)

LEVERS = tuple(OWN)
MARGIN_K = 2.0
JOINT = {CDU: "dew_point_c", CW: "wet_bulb_temp_c"}

number = st.one_of(
    st.floats(min_value=-50.0, max_value=100.0), st.just(math.nan), st.just(math.inf)
)
command = st.tuples(
    st.just("command"),
    st.dictionaries(st.sampled_from(LEVERS), number, min_size=1),
    st.floats(min_value=0.1, max_value=600.0),
)
reading = st.tuples(
    st.just("read"),
    st.dictionaries(
        st.sampled_from(("dew_point_c", "wet_bulb_temp_c", "inlet_temp_max_c", "it_power_w")),
        st.one_of(st.floats(min_value=-30.0, max_value=60.0), st.just(math.nan)),
    ),
    st.floats(min_value=0.1, max_value=600.0),
)
nothing: st.SearchStrategy[dict[str, float]] = st.just({})
slowly = st.tuples(st.just("drift"), nothing, st.floats(min_value=10.0, max_value=120.0))
vanish = st.tuples(st.just("vanish"), nothing, st.floats(min_value=90.0, max_value=300.0))
somebody = st.tuples(
    st.just("override"),
    st.dictionaries(st.sampled_from(LEVERS), st.floats(min_value=15.0, max_value=30.0), max_size=2),
    st.floats(min_value=1.0, max_value=60.0),
)
story = st.lists(st.one_of(command, reading, slowly, vanish, somebody), max_size=25)


async def play(
    plant: WatchedPlant, steps: list[tuple[str, dict[str, float], float]]
) -> list[tuple[Written, dict[str, float], bool]]:
    """Return each write with the trusted readings at that time, and whether a lease was live."""
    seen: list[tuple[Written, dict[str, float], bool]] = []

    def take() -> None:
        for one in plant.driver.written[len(seen) :]:
            readings = dict(plant.agent.watch.situation.readings)
            seen.append((one, readings, plant.agent.guard.leases.live() is not None))

    for kind, values, span_s in steps:
        if kind == "command":
            plant.clock.time_s += span_s
            usable = {k: v for k, v in values.items() if k in DEVICE}
            with contextlib.suppress(RefusedError):
                await plant.command(await plant.acquire(), **usable)
        elif kind == "override":
            plant.driver.other = dict(values)
            await plant.sample(after_s=span_s)
        elif kind == "drift":
            dew_c = plant.driver.signals["dew_point_c"]
            await plant.sample(after_s=span_s, dew_point_c=dew_c + 1.0)
        else:
            await plant.sample(after_s=span_s, **(values if kind == "read" else {}))
        take()
    return seen


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=story)
def test_every_written_value_is_inside_limits_slew_and_joint_limits(
    steps: list[tuple[str, dict[str, float], float]],
) -> None:
    """
    A joint limit moves a setpoint faster than its slew, and then exactly to the limit. On the way
    back the equipment's own value counts, not our limits; the slew does.
    """

    async def run() -> list[tuple[Written, dict[str, float], bool]]:
        with tempfile.TemporaryDirectory() as folder:
            async with watched_plant(Path(folder)) as plant:
                return await play(plant, steps)

    newest_s: dict[str, float] = {}
    for one, readings, commanded in asyncio.run(run()):
        low, high = OWN[one.lever]
        back = sorted((one.before, LOCAL[one.lever]))
        on_its_way_back = back[0] <= one.value <= back[1]
        assert low <= one.value <= high or on_its_way_back, one
        joint_c = -math.inf
        if commanded and one.lever in JOINT:
            joint_c = readings.get(JOINT[one.lever], -math.inf) + MARGIN_K
            assert one.value >= joint_c - 1e-9, (one, readings)
        span_s = min(one.time_s - newest_s.get(one.lever, -math.inf), STEP_SPAN_MAX_S)
        newest_s[one.lever] = one.time_s
        allowed = RATE_PER_MIN[one.lever] / 60.0 * span_s
        if one.value != pytest.approx(joint_c, abs=1e-9):
            assert abs(one.value - one.before) <= allowed + 1e-9, (one, allowed)


def test_the_story_does_write(tmp_path: Path) -> None:
    """
    The property above would hold of an agent that never writes.
    """

    async def run() -> list[tuple[Written, dict[str, float], bool]]:
        async with watched_plant(tmp_path) as plant:
            await plant.sample()
            return await play(
                plant,
                [
                    ("command", {CDU: 19.0, CW: 14.0}, 60.0),
                    ("command", {CDU: 19.0, CW: 14.0}, 60.0),
                    ("drift", {}, 30.0),
                    ("vanish", {}, 100.0),
                ],
            )

    assert len(asyncio.run(run())) >= 6
