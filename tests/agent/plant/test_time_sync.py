"""A clock that is not synchronised raises an alarm, one that was set is noticed."""

import logging

import pytest

from coolcap_agent.logging import FaultLog
from coolcap_agent.plant.time_sync import KernelClock, TimeSync, kernel_clock
from support.fake_points import HandClock


class Clocks:
    """Two clocks and a kernel in the test's hand."""

    def __init__(self) -> None:
        self.wall, self.mono = HandClock(1e9), HandClock(100.0)
        self.kernel: KernelClock | None = KernelClock(synchronised=True, error_max_s=0.01)

    def sync(self) -> TimeSync:
        return TimeSync(
            offset_max_s=1.0,
            faults=FaultLog(logging.getLogger(__name__)),
            wall_s=self.wall.now_s,
            mono_s=self.mono.mono_s,
            kernel=lambda: self.kernel,
        )

    def pass_s(self, seconds: float, *, jump_s: float = 0.0) -> None:
        self.mono.time_s += seconds
        self.wall.time_s += seconds + jump_s


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_clock_that_was_set_is_noticed_once(jump_s: float) -> None:
    clocks = Clocks()
    sync = clocks.sync()
    clocks.pass_s(10.0, jump_s=jump_s)

    assert sync.look() == f"the host's clock was set by {jump_s:+.1f} s"
    clocks.pass_s(10.0)
    assert sync.look() == ""
    assert sync.jump_count == 1


def test_slow_correction_is_no_jump() -> None:
    clocks = Clocks()
    sync = clocks.sync()
    for _ in range(100):
        clocks.pass_s(1.0, jump_s=0.0005)
        assert sync.look() == ""


@pytest.mark.parametrize(
    "bad",
    [
        KernelClock(synchronised=False, error_max_s=0.1),
        KernelClock(synchronised=True, error_max_s=2.0),
    ],
)
def test_clock_that_may_be_off_is_told_once_and_when_it_is_well_again(
    bad: KernelClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clocks = Clocks()
    sync = clocks.sync()
    clocks.kernel = bad
    sync.look()
    sync.look()
    clocks.kernel = KernelClock(synchronised=True, error_max_s=0.01)
    sync.look()

    assert caplog.text.count("look after NTP") == 1
    assert caplog.text.count("synchronised again") == 1


def test_kernel_that_says_nothing_is_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    clocks.kernel = None

    assert clocks.sync().look() == ""
    assert caplog.text == ""


def test_this_kernel_says_how_far_its_clock_may_be_off() -> None:
    found = kernel_clock()

    if found is None:
        pytest.skip("this host has no adjtimex")
    assert 0.0 <= found.error_max_s < 1e5
