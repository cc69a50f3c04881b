"""When ticks fall, with clocks in the test's hand."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from coolcap_agent.controller.pace import pace_real, pace_simulated


class Done(Exception):  # noqa: N818 - ends a pace that would go on for ever
    """The script has come to its end."""


class Ticks:
    """Notes the ticks; each decision may take host time."""

    def __init__(self, host: "Host | None" = None, *, policy_s: float = 0.0) -> None:
        self.seen: list[str] = []
        self.overruns = 0
        self._host = host
        self._policy_s = policy_s

    async def fast(self) -> None:
        self.seen.append("fast")

    async def policy(self) -> None:
        self.seen.append("policy")
        if self._host is not None:
            self._host.now_s += self._policy_s
            self._policy_s = 0.0

    def overrun(self, count: int) -> None:
        self.overruns += count


class Host:
    """Host and site time that pass while somebody sleeps, until a given time."""

    def __init__(self, *, start_s: float, end_s: float) -> None:
        self.now_s, self._end_s = start_s, end_s

    async def sleep(self, span_s: float) -> None:
        self.now_s += span_s
        if self.now_s >= self._end_s:
            raise Done


class SiteClock:
    """Site time equal to host time."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def now_s(self) -> float:
        return self._host.now_s

    async def sleep_until(self, time_s: float) -> None:
        raise NotImplementedError


class Frames:
    """Gives the frames of a script; None stands for a span without any."""

    def __init__(self, *script: float | None) -> None:
        self._script = list(script)
        self.after_s: list[float] = []

    async def wait_frame(
        self, after_s: float, *, patience_s: float, straggler_s: float
    ) -> float | None:
        self.after_s.append(after_s)
        if not self._script:
            raise Done
        return self._script.pop(0)


def run(pace: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(Done):
        asyncio.run(pace)


def play_real(
    monkeypatch: pytest.MonkeyPatch, ticks: Ticks, host: Host, *, policy_period_s: float = 5.0
) -> None:
    async def pace() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: host.now_s)
        monkeypatch.setattr(asyncio, "sleep", host.sleep)
        await pace_real(
            ticks, clock=SiteClock(host), policy_period_s=policy_period_s, fast_period_s=1.0
        )

    run(pace())


def test_decisions_fall_on_multiples_of_their_period(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(start_s=998.0, end_s=1007.0)
    ticks = Ticks()

    play_real(monkeypatch, ticks, host)

    # 998 the first, 1000 and 1005 the multiples of 5 s.
    assert ticks.seen == ["policy", "fast", "policy", *["fast"] * 4, "policy", "fast"]
    assert ticks.overruns == 0


def test_ticks_that_did_not_take_place_are_counted_and_not_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Host(start_s=1000.0, end_s=1010.0)
    ticks = Ticks(host, policy_s=3.5)

    play_real(monkeypatch, ticks, host, policy_period_s=100.0)

    assert ticks.overruns == 2
    assert ticks.seen == ["policy", *["fast"] * 7]


def test_each_frame_of_a_new_period_is_a_decision() -> None:
    frames, ticks = Frames(30.0, 60.0, 90.0), Ticks()

    run(pace_simulated(ticks, frames=frames, policy_period_s=30.0, fast_period_s=1.0))

    assert ticks.seen == ["policy"] * 3
    assert frames.after_s[1:] == [30.0, 60.0, 90.0]


def test_frames_within_a_period_are_looked_at_only() -> None:
    ticks = Ticks()

    run(
        pace_simulated(
            ticks, frames=Frames(30.0, 40.0, 50.0, 60.0), policy_period_s=30.0, fast_period_s=1.0
        )
    )

    assert ticks.seen == ["policy", "fast", "fast", "policy"]


def test_site_that_stands_still_is_looked_at_by_the_hosts_clock() -> None:
    """Leases are renewed there, whatever the simulation does."""
    ticks = Ticks()

    run(
        pace_simulated(
            ticks, frames=Frames(30.0, None, None, 60.0), policy_period_s=30.0, fast_period_s=1.0
        )
    )

    assert ticks.seen == ["policy", "fast", "fast", "policy"]
