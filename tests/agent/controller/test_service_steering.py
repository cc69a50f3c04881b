"""Overrides, canary and switchback through the operator API, over mutual TLS."""

import json
from collections.abc import Awaitable

import grpc
import numpy as np
import pytest

from agent.controller.test_service import Desk, play, refused, set_mode, status
from coolcap_agent.audit import verify
from coolcap_agent.controller.wishes import WishesFile
from coolcap_agent.controller.words import override_lines, status_lines, switchback_text
from coolcap_agent.daemon.wire import duration
from coolcap_proto.v1 import controller_pb2
from support.small_fleet import SmallFleet

SUPPLY = "supply_air_temp_setpoint_c"


def override(
    desk: Desk,
    *,
    group: str = "",
    lever: str = "",
    value: float | None = None,
    for_s: float = 3600.0,
    identity: str = "operator",
) -> Awaitable[controller_pb2.SetOverrideResponse]:
    request = controller_pb2.SetOverrideRequest(
        value=value, duration=duration(for_s), reason="a noisy fan"
    )
    if group:
        request.group = group
    if lever:
        request.lever = lever
    return desk.person(identity).call(lambda stub: stub.SetOverride(request, timeout=5))


def switchback(
    desk: Desk, *, block_s: float | None, pairs: int = 4, washout_s: float = 60.0
) -> Awaitable[controller_pb2.SetSwitchbackResponse]:
    request = controller_pb2.SetSwitchbackRequest(
        block=None if block_s is None else duration(block_s),
        washout=duration(washout_s),
        pair_count=pairs,
        seed=3,
        reason="to measure",
    )
    return desk.person().call(lambda stub: stub.SetSwitchback(request, timeout=5))


def test_override_of_a_cap_reaches_the_hardware_and_is_shown_and_audited(
    fleet: SmallFleet,
) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()

        answer = await override(desk, group="node-2/0", value=300.0)
        await desk.controller.fast()

        assert answer.mode == controller_pb2.MODE_OVERRIDDEN
        assert fleet.limits_w()[2] == 300.0
        seen = await status(desk)
        (held,) = seen.overrides
        assert (held.group, held.value, held.who) == ("node-2/0", 300.0, "operator")
        assert "node-2/0: 300 W until" in "\n".join(status_lines(seen))
        audit = desk.controller.config.state_dir / "audit.jsonl"
        assert verify(audit).count == 1
        assert json.loads(audit.read_text())["what"].startswith("override of node-2/0 300 until")

    play(fleet, scene)


def test_lifted_override_is_gone_from_status_and_disk(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        await override(desk, lever=SUPPLY, value=20.0)
        path = desk.controller.config.state_dir / "wishes.json"
        assert [o.subject for o in WishesFile(path).load().overrides] == [SUPPLY]

        answer = await override(desk, lever=SUPPLY)

        assert list(answer.overrides) == []
        assert WishesFile(path).load().overrides == ()
        assert list(override_lines(answer.overrides)) == ["nothing is overridden"]

    play(fleet, scene)


def test_override_that_cannot_be_carried_out_is_refused_with_the_reason(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        high = await refused(override(desk, group="node-2/0", value=900.0))
        unknown = await refused(override(desk, group="node-9", value=300.0))
        endless = await refused(override(desk, group="node-2/0", value=300.0, for_s=1e9))
        nothing = await refused(override(desk, value=300.0))
        viewer = await refused(override(desk, group="node-2/0", value=300.0, identity="viewer"))

        assert "outside 100 to 500 W" in high[1] or "W (limits of site small)" in high[1]
        assert "no control group or lever 'node-9'" in unknown[1]
        assert "(7 days)" in endless[1]
        assert [code for code, _ in (high, unknown, endless, nothing, viewer)] == [
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.PERMISSION_DENIED,
        ]

    play(fleet, scene)


def test_nothing_can_be_overridden_in_a_mode_that_writes_nothing(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        await set_mode(desk, controller_pb2.MODE_SHADOW)

        code, text = await refused(override(desk, group="node-2/0", value=300.0))

        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "mode shadow writes nothing" in text

    play(fleet, scene)


def test_lever_the_plant_reports_as_overridden_is_shown_with_its_reason(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        session = desk.fleet.sessions["plant"]
        setattr(session, "overridden", {SUPPLY: "priority 8 holds 19 °C"})  # noqa: B010
        await desk.controller.fast()

        seen = await status(desk)

        assert seen.mode == controller_pb2.MODE_OVERRIDDEN
        assert (seen.overrides[0].lever, seen.overrides[0].who) == (SUPPLY, "the plant")
        assert not seen.overrides[0].HasField("value")

    play(fleet, scene)


def test_canary_is_asked_for_with_the_mode_and_outlives_a_restart(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        request = controller_pb2.SetModeRequest(
            mode=controller_pb2.MODE_AUTO, reason="first night", canary_ratio=0.5
        )
        await desk.person().call(lambda stub: stub.SetMode(request, timeout=5))
        await desk.tick()

        seen = await status(desk)

        assert seen.canary_ratio == 0.5
        assert [arm.group_count for arm in seen.arms] == [2, 2]
        assert all(np.isfinite(arm.gpu_power_w) for arm in seen.arms)
        assert "canary       policy: 2 groups" in "\n".join(status_lines(seen))
        too_much = controller_pb2.SetModeRequest(
            mode=controller_pb2.MODE_AUTO, reason="x", canary_ratio=1.5
        )
        code, text = await refused(
            desk.person().call(lambda stub: stub.SetMode(too_much, timeout=5))
        )
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "outside 0 to 1" in text

    play(fleet, scene)
    state = fleet.folder / "state-control" / "wishes.json"
    assert WishesFile(state).load().canary_ratio == 0.5


def test_switchback_is_planned_shown_and_ended(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        await desk.tick()
        planned = (await switchback(desk, block_s=600.0)).switchback
        assert planned.start_time.seconds % 600 == 0
        assert "no block now; 4 pairs of blocks of 0.166667 h" in switchback_text(planned)
        for _ in range(21):
            await desk.tick()

        running = (await status(desk)).switchback

        assert running.block_index == 0
        assert running.arm in (controller_pb2.ARM_POLICY, controller_pb2.ARM_BASELINE)
        assert "block 1 of 8" in switchback_text(running)
        assert not (await switchback(desk, block_s=None)).HasField("switchback")

    play(fleet, scene)


@pytest.mark.parametrize(
    ("block_s", "pairs", "text"), [(60.0, 4, "too short"), (600.0, 0, "pairs")]
)
def test_switchback_that_cannot_be_measured_is_refused(
    fleet: SmallFleet, block_s: float, pairs: int, text: str
) -> None:
    async def scene(desk: Desk) -> None:
        code, said = await refused(switchback(desk, block_s=block_s, pairs=pairs))

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert text in said

    play(fleet, scene)


def test_controller_that_is_alone_says_so(fleet: SmallFleet) -> None:
    async def scene(desk: Desk) -> None:
        leadership = (await status(desk)).leadership

        assert leadership.state == controller_pb2.LEADERSHIP_STATE_ALONE
        assert (leadership.needed_count, leadership.agent_count) == (0, 3)

    play(fleet, scene)
