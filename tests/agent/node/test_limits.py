"""The agent's own limits hold inside the device's, and say where they come from."""

import dataclasses
import math

import pytest

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import Spec
from coolcap_agent.drivers.base import GpuInfo
from coolcap_agent.node.limits import CapLimits, read_cap_limits
from coolcap_envs.contract.config import Table

INFO = GpuInfo(
    uuid="GPU-a",
    index=0,
    model="test",
    power_limit_min_w=200.0,
    power_limit_max_w=700.0,
    power_limit_default_w=650.0,
    sm_clock_max_mhz=1980.0,
)


def read(**data: object) -> tuple[CapLimits, list[str]]:
    table = Table(data, path="limits", problems=[])
    return read_cap_limits(table, origin="node.toml"), table.problems


def spec_of(info: GpuInfo = INFO, *, read_only: bool = False, **data: object) -> Spec:
    limits, problems = read(**data)
    assert problems == []
    return limits.spec(info, read_only=read_only)


def test_without_own_limits_caps_stay_above_the_floor_cliff() -> None:
    spec = spec_of()

    assert (spec.low, spec.high) == (280.0, 700.0)
    assert spec.default == 650.0
    assert spec.rise_max_per_s == math.inf
    assert not spec.refusal


@pytest.mark.parametrize(
    ("low_w", "high_w", "inside"), [(50.0, 900.0, (200.0, 700.0)), (300.0, 400.0, (300.0, 400.0))]
)
def test_own_limits_only_narrow_the_device_range(
    low_w: float, high_w: float, inside: tuple[float, float]
) -> None:
    spec = spec_of(power_cap_min_w=low_w, power_cap_max_w=high_w)

    assert inside == (spec.low, spec.high)


def test_exception_for_one_gpu_keeps_the_other_common_limits() -> None:
    limits, _ = read(
        power_cap_min_w=300.0,
        power_cap_max_w=600.0,
        power_cap_rise_max_w_per_s=20.0,
        gpu={"GPU-a": {"power_cap_min_w": 350.0}},
    )
    other = dataclasses.replace(INFO, uuid="GPU-b")

    spec, common = (limits.spec(info, read_only=False) for info in (INFO, other))

    assert (spec.low, spec.high, spec.rise_max_per_s) == (350.0, 600.0, 20.0)
    assert common.low == 300.0


def test_gpu_that_is_not_allowed_is_never_commanded() -> None:
    spec = spec_of(allowed_gpus=["GPU-b"])

    assert spec.refusal == "GPU-a is not in allowed_gpus (node.toml)"
    assert spec.refusal_outcome is Outcome.REFUSED_NOT_COMMANDABLE


def test_limits_that_leave_nothing_make_the_gpu_not_commandable() -> None:
    spec = spec_of(power_cap_min_w=800.0, power_cap_max_w=900.0)

    assert spec.refusal == (
        "800.0 to 900.0 W (node.toml) leaves nothing of the 200.0 to 700.0 W that GPU-a takes; "
        "mend the limits"
    )


def test_missing_right_and_read_only_config_are_told_apart() -> None:
    denied = dataclasses.replace(INFO, read_only_reason="needs CAP_SYS_ADMIN")

    assert spec_of(denied).refusal == "needs CAP_SYS_ADMIN"
    assert spec_of(read_only=True).refusal == "the agent's config says read_only = true"
    assert spec_of(read_only=True).refusal_outcome is Outcome.READ_ONLY


def test_all_problems_of_limits_are_reported_at_once() -> None:
    _, problems = read(
        power_cap_min_w=500.0, power_cap_max_w=400.0, power_cap_slew=3, gpu={"GPU-a": {"low": 1.0}}
    )

    assert problems == [
        "limits.power_cap_min_w = 500 W must not be above power_cap_max_w = 400 W",
        "limits.gpu.GPU-a.power_cap_min_w = 500 W must not be above power_cap_max_w = 400 W",
        "unknown key 'limits.gpu.GPU-a.low'",
        "unknown key 'limits.power_cap_slew'",
    ]


LOCKABLE = dataclasses.replace(INFO, sm_clock_min_mhz=345.0)


def clock_spec_of(info: GpuInfo = LOCKABLE, **data: object) -> Spec:
    limits, problems = read(**data)
    assert problems == []
    return limits.clock_spec(info, read_only=False)


def test_clocks_are_left_alone_unless_the_limits_name_a_lowest_ceiling() -> None:
    assert "give no sm_clock_min_mhz (node.toml)" in clock_spec_of().refusal


def test_clock_ceilings_stay_between_the_lowest_named_and_the_devices_highest() -> None:
    spec = clock_spec_of(sm_clock_min_mhz=900.0)

    assert (spec.low, spec.high) == (900.0, 1980.0)
    assert (spec.device_low, spec.device_high) == (345.0, 1980.0)
    assert spec.default == 1980.0
    assert not spec.refusal


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (INFO, "takes no lock on its clock"),
        (dataclasses.replace(LOCKABLE, sm_clock_max_mhz=800.0), "above the 800 MHz"),
        (dataclasses.replace(LOCKABLE, read_only_reason="no right"), "no right"),
        (dataclasses.replace(LOCKABLE, partitioned=True), "MIG"),
    ],
)
def test_gpu_whose_clock_cannot_be_held_says_why(info: GpuInfo, text: str) -> None:
    assert text in clock_spec_of(info, sm_clock_min_mhz=900.0).refusal


@pytest.mark.parametrize(
    ("policy", "reapply", "yields"),
    [("reapply", True, False), ("yield", False, True), ("alarm", False, False)],
)
def test_policy_for_foreign_changes_reaches_every_lever(
    policy: str, reapply: bool, yields: bool
) -> None:
    cap, clock = spec_of(foreign_changes=policy), clock_spec_of(foreign_changes=policy)

    assert (cap.reapply, cap.yields) == (reapply, yields)
    assert (clock.reapply, clock.yields) == (reapply, False), "what holds a clock is only inferred"


def test_unknown_policy_is_refused_with_the_known_ones() -> None:
    _, problems = read(foreign_changes="fight")

    assert problems == [
        "limits.foreign_changes = 'fight' is not allowed: one of reapply, yield, alarm is needed"
    ]


def test_thermal_guard_acts_at_three_kelvin_unless_told_otherwise() -> None:
    assert read()[0].thermal_margin_min_k == 3.0
    assert read(thermal_margin_min_k=8.0)[0].thermal_margin_min_k == 8.0
    assert math.isnan(read(thermal_guard=False)[0].thermal_margin_min_k)
