"""All agents of a site: one session each, their leases, and waiting for their telemetry."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coolcap_agent.controller.agent_address import AgentConfig, AgentKind
from coolcap_agent.controller.fleet_state import FleetState
from coolcap_agent.controller.node_session import NodeSession
from coolcap_agent.controller.plant_session import PlantSession
from coolcap_agent.controller.pulse import Pulse
from coolcap_agent.controller.relay_link import RelayLink
from coolcap_agent.controller.session import (
    Answer,
    Connection,
    Identity,
    NotReleasedError,
    Pending,
    cancel,
)
from coolcap_agent.logging import FaultLog
from coolcap_proto.v1 import common_pb2

log = logging.getLogger(__name__)

CONNECT_SPREAD_S: Final = 0.002
"""Per agent: TLS handshakes of a whole fleet in one instant would hold up everything else."""

READY_LOOK_S: Final = 0.1
"""Pause between two looks whether all agents are there."""

Session = NodeSession | PlantSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What one agent restored when its lease was given back."""

    agent: str
    results: Sequence[common_pb2.RestoreResult]
    message: str = ""


class Fleet:
    """Sessions with all agents. Everything runs in one event loop.

    Args:
        agents: Which agents.
        identity: Who this controller is.
        state: Where readings go.
        faults: Logs what begins and ends to be wrong.
        pulse: Where delays of commands are counted.
    """

    def __init__(
        self,
        agents: Sequence[AgentConfig],
        *,
        identity: Identity,
        state: FleetState,
        faults: FaultLog,
        pulse: Pulse | None = None,
    ) -> None:
        self.pulse = pulse or Pulse()
        self.state = state
        self.faults = faults
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._caps_wanted = False
        self.sessions: dict[str, Session] = {}
        self._movable = frozenset(agent.name for agent in agents if agent.address is None)
        self._found: set[str] = set()
        self._identity = identity
        self.relays: dict[str, RelayLink] = {}
        self._relay_tasks: dict[str, asyncio.Task[None]] = {}
        behind = {node for agent in agents for node in agent.nodes}
        agents = [
            *agents,
            *(
                AgentConfig(name=node, kind=AgentKind.NODE, address=None)
                for node in sorted(behind - {agent.name for agent in agents})
            ),
        ]
        self._relay_configs = [agent for agent in agents if agent.kind is AgentKind.RELAY]
        for agent in agents:
            if agent.kind is AgentKind.RELAY:
                continue
            make = NodeSession if agent.kind is AgentKind.NODE else PlantSession
            self.sessions[agent.name] = make(
                agent,
                identity=identity,
                faults=faults,
                on_telemetry=self._on_change,
                state=state,
            )

    def place(self, found: Sequence[AgentConfig]) -> None:
        """Take in where agents are; nodes that were found before and are not now have left.

        What ``[[agents]]`` of the config says stays. Nobody else is disturbed.
        """
        by_name = {agent.name: agent for agent in found if agent.kind is AgentKind.NODE}
        self._place_relays([agent for agent in found if agent.kind is AgentKind.RELAY])
        for name in self._found - by_name.keys():
            log.info("%s has left", name)
            self.sessions[name].move(None)
        self._found = {name for name in by_name if name in self._movable}
        for name in self._found:
            self.sessions[name].move(by_name[name].address)

    def _place_relays(self, found: Sequence[AgentConfig]) -> None:
        """Connect with the relays that are new or changed, and end those that are gone."""
        wanted = {relay.name: relay for relay in (*found, *self._relay_configs)}
        for name in [n for n, link in self.relays.items() if wanted.get(n) != link.config]:
            self._relay_tasks.pop(name).cancel()
            for node in self.relays.pop(name).nodes:
                self._node(node).relay(None)
        for name in wanted.keys() - self.relays.keys():
            link = RelayLink(wanted[name], tls=self._identity.tls, faults=self.faults)
            self.relays[name] = link
            self._relay_tasks[name] = asyncio.create_task(link.run())
            for node, relayed in link.nodes.items():
                self._node(node).relay(relayed)

    def _node(self, name: str) -> NodeSession:
        session = self.sessions[name]
        assert isinstance(session, NodeSession)
        return session

    def start(self) -> None:
        """Begin to connect to all agents."""
        self._place_relays([])
        spread_s = CONNECT_SPREAD_S * len(self.sessions)
        self._tasks = [
            asyncio.create_task(session.run(start_after_s=random.uniform(0.0, spread_s)))
            for session in self.sessions.values()
        ]

    async def stop(self) -> None:
        """Give all leases back and disconnect."""
        self._caps_wanted = False
        await asyncio.gather(*(session.settle() for session in self.sessions.values()))
        await self.release_all()
        await cancel([*self._tasks, *self._relay_tasks.values()])

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        """Acquire and renew the leases of nodes and plant, or release them.

        Agents that fell silent are forgotten.
        """
        self._caps_wanted = caps
        for session in self.sessions.values():
            session.keep_lease(wanted=caps if isinstance(session, NodeSession) else setpoints)
            if session.connection is not Connection.LIVE:
                session.forget()
            self._note_whether_obeys(session)

    async def release_all(self) -> list[Released]:
        """Release all leases at once and return what was restored."""
        held = [s for s in self.sessions.values() if s.lease.live is not None]
        self._caps_wanted = False

        async def release(session: Session) -> Released:
            try:
                return Released(agent=session.name, results=await session.release())
            except NotReleasedError as error:
                return Released(agent=session.name, results=(), message=str(error))

        return list(await asyncio.gather(*(release(session) for session in held)))

    async def command(
        self,
        values: Mapping[str, Mapping[str, float]],
        *,
        answers_times_s: Mapping[str, float],
        deadline_s: float,
        since_mono_s: float,
    ) -> dict[str, Answer]:
        """Send values by agent and device; return the answers that came within ``deadline_s``.

        ``since_mono_s`` is when the telemetry was read that the values answer.
        """
        asked = {
            name: self.sessions[name].ask(of_agent, answers_time_s=answers_times_s.get(name))
            for name, of_agent in values.items()
        }
        waited = [answer for answer in asked.values() if isinstance(answer, Pending)]
        if waited:
            await asyncio.wait([one.future for one in waited], timeout=deadline_s)
        silent = f"no answer within {deadline_s:g} s; read back before relying on it"
        answers: dict[str, Answer] = {}
        for name, answer in asked.items():
            if isinstance(answer, Answer):
                answers[name] = answer
            elif answer.future.done():
                answers[name] = answer.future.result()
                self.pulse.commands.add(answer.answer_mono_s - since_mono_s)
            else:
                answers[name] = Answer(read_back={}, refusals=(f"{name}: {silent}",))
                self.pulse.unanswered_count += 1
                answer.give_up()
        return answers

    async def wait_frame(
        self, after_s: float, *, patience_s: float, straggler_s: float
    ) -> float | None:
        """Wait for telemetry of one site time from all connected agents.

        Args:
            after_s: Site time of the last frame.
            patience_s: Longest wait for any newer telemetry, host time.
            straggler_s: Longest wait for the others from then on, host time.

        Returns:
            The site time of the frame; None if there is nothing newer.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patience_s
        late_s = float("inf")
        while True:
            self._changed.clear()
            times = [s.measure_time_s for s in self.sessions.values() if s.connected]
            newest_s = max(times, default=float("-inf"))
            if newest_s > after_s:
                late_s = min(late_s, loop.time() + straggler_s)
                if min(times) >= newest_s:
                    return newest_s
            rest_s = min(end_s if newest_s <= after_s else late_s, late_s) - loop.time()
            if rest_s <= 0.0:
                return newest_s if newest_s > after_s else None
            try:
                await asyncio.wait_for(self._changed.wait(), rest_s)
            except TimeoutError:
                continue

    async def wait_ready(self, *, leases: bool, patience_s: float) -> bool:
        """Wait until every agent is connected and, if wanted, its lease held; else return False."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patience_s
        while (rest_s := end_s - loop.time()) > 0.0:
            self.keep_leases(caps=leases, setpoints=leases)
            if all(
                s.connected and (s.lease.live is not None or not leases)
                for s in self.sessions.values()
            ):
                return True
            # Not with each change: every look costs as much as the fleet is large.
            await asyncio.sleep(min(rest_s, READY_LOOK_S))
        return False

    def _on_change(self, name: str) -> None:
        self._changed.set()
        self._note_whether_obeys(self.sessions[name])

    def _note_whether_obeys(self, session: Session) -> None:
        """A node obeys if it is connected and, where leases are wanted, its lease is held."""
        if isinstance(session, NodeSession):
            leased = session.lease.live is not None
            self.state.set_obeys(
                session.name,
                session.connected and (leased or not self._caps_wanted),
                limit_known=leased or session.settled,
            )
