"""Who leads: a model of agents and controllers, with time and network in the test's hand."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.leadership import LeadershipState, MajorityLeadership
from coolcap_proto.v1 import common_pb2
from support.fake_points import HandClock

TTL_S = 3.0
ALONE, LEADING = LeadershipState.ALONE, LeadershipState.LEADING
CANDIDATE, STANDBY = LeadershipState.CANDIDATE, LeadershipState.STANDBY


@dataclass
class Agent:
    """An agent with one lease at a time."""

    clock: HandClock
    holder: str = ""
    end_s: float = 0.0
    grants: list[tuple[float, str]] = field(default_factory=list)

    def live_holder(self) -> str:
        return self.holder if self.clock.mono_s() < self.end_s else ""

    def grant(self, holder: str) -> bool:
        if self.live_holder() not in ("", holder):
            return False
        if self.live_holder() != holder:
            self.grants.append((self.clock.mono_s(), holder))
        self.holder, self.end_s = holder, self.clock.mono_s() + TTL_S
        return True


class FakeLease:
    def __init__(self, session: "FakeSession") -> None:
        self._session = session
        self.end_s = 0.0

    def secure(self, margin_s: float) -> bool:
        return self._session.clock.mono_s() + margin_s < self.end_s


class FakeSession:
    """A controller's view of one agent, cut off while ``connected`` is false."""

    def __init__(self, agent: Agent, *, holder: str, clock: HandClock) -> None:
        self.agent, self.holder, self.clock = agent, holder, clock
        self.connected = True
        self.lease = FakeLease(self)

    @property
    def leased_elsewhere(self) -> bool:
        return self.agent.live_holder() not in ("", self.holder)

    @property
    def lease_seen(self) -> common_pb2.LeaseStatus:
        return common_pb2.LeaseStatus(holder=self.agent.live_holder() if self.connected else "")


class FakeFleet:
    """Keeps leases as the fleet does."""

    def __init__(self, agents: list[Agent], *, holder: str, clock: HandClock) -> None:
        self.holder = holder
        self.sessions = {
            f"agent-{n}": FakeSession(agent, holder=holder, clock=clock)
            for n, agent in enumerate(agents)
        }

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        for session in self.sessions.values():
            if session.connected and caps and session.agent.grant(self.holder):
                session.lease.end_s = session.clock.mono_s() + TTL_S
        if not caps:
            self._release()

    async def release_all(self) -> None:
        self._release()

    def _release(self) -> None:
        for session in self.sessions.values():
            session.lease.end_s = 0.0
            if session.connected and session.agent.live_holder() == self.holder:
                session.agent.end_s = 0.0


class Office:
    """An elector in the test's hand."""

    name = "test"

    def __init__(self) -> None:
        self.may_lead = False
        self.wanted = False

    def want(self, wanted: bool) -> None:
        self.wanted = wanted

    async def run(self) -> None:
        return


class Hall:
    """Agents and controllers over one clock."""

    def __init__(
        self, agent_count: int, *names: str, offices: dict[str, Office] | None = None
    ) -> None:
        self.clock = HandClock(100.0)
        self.agents = [Agent(self.clock) for _ in range(agent_count)]
        self.fleets = {
            name: FakeFleet(self.agents, holder=name, clock=self.clock) for name in names
        }
        self.controllers = {
            name: MajorityLeadership(
                cast("Fleet", fleet),
                elector=(offices or {}).get(name),
                lease_ttl_s=TTL_S,
                mono_s=self.clock.mono_s,
                rng=random.Random(name),
            )
            for name, fleet in self.fleets.items()
        }
        self.wanted = dict.fromkeys(names, True)
        self.stopped: set[str] = set()

    async def run(self, span_s: float, *, step_s: float = 0.5) -> None:
        """Let time pass; each controller that is not stopped makes a fast tick per step."""
        for _ in range(round(span_s / step_s)):
            self.clock.time_s += step_s
            for name, controller in self.controllers.items():
                if name not in self.stopped:
                    wanted = self.wanted[name]
                    controller.keep_leases(caps=wanted, setpoints=wanted)
                await asyncio.sleep(0)
            assert len(self.leaders()) <= 1

    def leaders(self) -> list[str]:
        return [name for name, c in self.controllers.items() if c.leads(margin_s=0.0)]

    def cut(self, name: str, agents: range) -> None:
        for n in agents:
            self.fleets[name].sessions[f"agent-{n}"].connected = False

    def mend(self, name: str) -> None:
        for session in self.fleets[name].sessions.values():
            session.connected = True


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene()

    asyncio.run(run())


@pytest.mark.parametrize("agent_count", [1, 2, 3, 5, 8, 17])
def test_one_of_two_leads_and_holds_all_leases(agent_count: int) -> None:
    async def scene() -> None:
        hall = Hall(agent_count, "a", "b")
        await hall.run(20.0)

        (leader,) = hall.leaders()
        assert {agent.live_holder() for agent in hall.agents} == {leader}

    play(scene)


def test_standby_takes_over_within_one_lease_of_the_end_of_the_last() -> None:
    async def scene() -> None:
        hall = Hall(5, "a", "b")
        hall.stopped.add("b")
        await hall.run(5.0)
        hall.stopped = {"a"}

        await hall.run(TTL_S, step_s=0.1)
        await hall.run(0.5, step_s=0.1)

        assert hall.leaders() == ["b"]

    play(scene)


def test_leader_cut_off_from_half_of_the_agents_releases_all_before_another_leads() -> None:
    async def scene() -> None:
        hall = Hall(4, "a", "b")
        hall.stopped.add("b")
        await hall.run(5.0)
        hall.stopped.clear()
        hall.cut("a", range(2))

        await hall.run(2 * TTL_S)
        assert hall.controllers["a"].view().state is not LEADING
        await hall.run(4 * TTL_S)

        assert hall.leaders() == ["b"]
        assert {agent.live_holder() for agent in hall.agents} == {"b"}

    play(scene)


def test_leader_cut_off_from_a_minority_goes_on() -> None:
    async def scene() -> None:
        hall = Hall(5, "a", "b")
        hall.stopped.add("b")
        await hall.run(5.0)
        hall.stopped.clear()
        hall.cut("a", range(2))

        await hall.run(5 * TTL_S)

        assert hall.leaders() == ["a"]

    play(scene)


def test_partition_with_half_on_each_side_leaves_nobody_leading() -> None:
    async def scene() -> None:
        hall = Hall(4, "a", "b")
        hall.cut("a", range(2))
        hall.cut("b", range(2, 4))

        await hall.run(10 * TTL_S)

        assert hall.leaders() == []
        hall.mend("a")
        await hall.run(10 * TTL_S)
        assert hall.leaders() == ["a"]

    play(scene)


def test_margin_shorter_than_a_command_is_not_enough_to_lead() -> None:
    async def scene() -> None:
        hall = Hall(3, "a")
        await hall.run(5.0)
        hall.clock.time_s += TTL_S - 0.4

        assert hall.controllers["a"].leads(margin_s=0.3)
        assert not hall.controllers["a"].leads(margin_s=0.5)

    play(scene)


def test_controller_whose_mode_writes_nothing_holds_no_lease() -> None:
    async def scene() -> None:
        hall = Hall(3, "a", "b")
        await hall.run(10.0)
        (leader,) = hall.leaders()
        other = "b" if leader == "a" else "a"
        hall.wanted = {leader: False, other: False}

        await hall.run(10.0)

        assert hall.leaders() == []
        assert {agent.live_holder() for agent in hall.agents} == {""}

    play(scene)


def test_elector_decides_who_tries_and_takes_the_lead_away() -> None:
    async def scene() -> None:
        offices = {"a": Office(), "b": Office()}
        hall = Hall(3, "a", "b", offices=offices)
        await hall.run(10.0)
        assert hall.leaders() == []
        assert offices["a"].wanted

        offices["b"].may_lead = True
        await hall.run(5.0)
        assert hall.leaders() == ["b"]

        offices["b"].may_lead = False
        assert hall.leaders() == []
        await hall.run(1.0)
        assert {agent.live_holder() for agent in hall.agents} == {""}

    play(scene)


def test_two_elected_ones_do_not_both_lead() -> None:
    """An elector that fails costs availability, never safety."""

    async def scene() -> None:
        offices = {"a": Office(), "b": Office()}
        for office in offices.values():
            office.may_lead = True
        hall = Hall(5, "a", "b", offices=offices)

        await hall.run(30.0)

        assert len(hall.leaders()) == 1

    play(scene)


def test_peers_are_asked_before_a_hall_is_taken() -> None:
    """A hall that a person switched off on the other controller is not taken over."""

    async def scene() -> None:
        hall = Hall(3, "a")
        asked: list[float] = []

        async def ask() -> None:
            asked.append(hall.clock.mono_s())
            hall.wanted["a"] = False

        hall.controllers["a"].ask_peers = ask
        await hall.run(5.0)

        assert len(asked) == 1
        assert hall.leaders() == []
        assert all(agent.grants == [] for agent in hall.agents)

    play(scene)


@pytest.mark.parametrize("seed", range(20))
def test_no_two_lead_under_random_partitions_stops_and_restarts(seed: int) -> None:
    """``run`` asserts after every step that at most one leads."""

    async def scene() -> None:
        rng = random.Random(seed)
        hall = Hall(rng.choice([3, 4, 5, 8]), "a", "b", "c")
        for _ in range(60):
            name = rng.choice("abc")
            happens = rng.random()
            if happens < 0.3:
                hall.mend(name)
                hall.cut(name, range(rng.randint(0, len(hall.agents))))
            elif happens < 0.5:
                hall.mend(name)
            elif happens < 0.7:
                hall.stopped.symmetric_difference_update(name)
            await hall.run(rng.uniform(0.5, 2 * TTL_S), step_s=0.25)
        hall.stopped.clear()
        for name in "abc":
            hall.mend(name)
        await hall.run(20 * TTL_S)
        assert len(hall.leaders()) == 1

    play(scene)
