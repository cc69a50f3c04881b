"""Which controller a standby follows, and what it takes over."""

import pytest

from coolcap_agent.controller.follow import Status, to_follow
from coolcap_agent.controller.modes import Mode, ModeMachine
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.status import MODE
from coolcap_agent.controller.steering import wishes_of
from coolcap_agent.controller.steering_status import override_message, switchback_message
from coolcap_agent.controller.switchback import Plan
from coolcap_agent.daemon.wire import timestamp
from coolcap_proto.v1 import controller_pb2

LEADING = controller_pb2.LEADERSHIP_STATE_LEADING
STANDBY = controller_pb2.LEADERSHIP_STATE_STANDBY


def peer(
    state: controller_pb2.LeadershipState.ValueType, mode: Mode, *, changed_s: float = 0.0
) -> Status:
    return Status(
        mode=MODE[mode],
        leadership=controller_pb2.LeadershipStatus(state=state),
        change_time=timestamp(changed_s) if changed_s else None,
    )


def test_the_one_that_leads_is_followed_whatever_others_changed() -> None:
    leading, other = peer(LEADING, Mode.AUTO), peer(STANDBY, Mode.OFF, changed_s=50.0)

    assert to_follow([other, leading], changed_s=10.0) is leading


def test_without_a_leader_the_newest_change_of_people_counts() -> None:
    older, newer = peer(STANDBY, Mode.AUTO, changed_s=20.0), peer(STANDBY, Mode.OFF, changed_s=30.0)

    assert to_follow([older, newer], changed_s=10.0) is newer
    assert to_follow([older, newer], changed_s=40.0) is None


def test_controller_that_was_just_started_is_not_followed() -> None:
    """Nobody changed anything there: a hall that was switched off stays off."""
    assert to_follow([peer(STANDBY, Mode.AUTO)], changed_s=10.0) is None
    assert to_follow([], changed_s=0.0) is None


@pytest.mark.parametrize(
    ("own", "leaders", "after"),
    [
        (Mode.AUTO, Mode.OFF, Mode.OFF),
        (Mode.OFF, Mode.AUTO, Mode.AUTO),
        (Mode.SHADOW, Mode.HOLD, Mode.HOLD),
        (Mode.AUTO, Mode.HOLD, Mode.HOLD),
        (Mode.AUTO, Mode.FALLBACK, Mode.AUTO),
        (Mode.SHADOW, Mode.OVERRIDDEN, Mode.AUTO),
        (Mode.FALLBACK, Mode.AUTO, Mode.FALLBACK),
        (Mode.AUTO, Mode.TRIPPED, Mode.TRIPPED),
        (Mode.OFF, Mode.TRIPPED, Mode.TRIPPED),
        (Mode.TRIPPED, Mode.AUTO, Mode.AUTO),
        (Mode.TRIPPED, Mode.TRIPPED, Mode.TRIPPED),
    ],
)
def test_mode_is_taken_over_but_for_what_each_one_enters_by_itself(
    own: Mode, leaders: Mode, after: Mode
) -> None:
    machine = ModeMachine(own, reason="test", time_s=0.0)

    machine.follow(leaders, reason="followed", time_s=1.0)

    assert machine.mode is after


def test_wishes_of_people_come_over_whole_and_the_plants_overrides_do_not() -> None:
    mine = Override(
        subject="node-1/0",
        value=300.0,
        start_time_s=10.0,
        end_time_s=700.0,
        who="operator",
        reason="a noisy fan",
    )
    plants = Override(
        subject="supply_air_temp_setpoint_c",
        value=float("nan"),
        start_time_s=10.0,
        end_time_s=float("inf"),
        who="the plant",
        reason="slot 8",
    )
    plan = Plan(start_time_s=600.0, block_s=600.0, washout_s=60.0, pair_count=9, seed=1)
    status = Status(canary_ratio=0.25, overrides=[override_message(mine), override_message(plants)])
    status.switchback.CopyFrom(_planned(plan))

    wishes = wishes_of(status)

    assert wishes.overrides == (mine,)
    assert (wishes.canary_ratio, wishes.switchback) == (0.25, plan)


def _planned(plan: Plan) -> controller_pb2.SwitchbackStatus:
    from agent.controller.fake_plant import LoopBench
    from coolcap_agent.controller.wishes import Wishes

    message = switchback_message(LoopBench(wishes=Wishes(switchback=plan)).loop.state)
    assert message is not None
    return message
