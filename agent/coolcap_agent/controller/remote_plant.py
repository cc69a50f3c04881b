"""The real plant behind the ``Plant`` protocol: telemetry from agents, commands to agents.

``read`` and ``apply`` are called in the loop's thread; the sessions live in the event loop.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import numpy as np

from coolcap_agent.clock import Clock
from coolcap_agent.controller.agent_address import AgentKind
from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.leadership import Leadership
from coolcap_agent.controller.plant_session import PlantSession
from coolcap_agent.controller.session import Answer
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.telemetry import BoolArray, Telemetry
from coolcap_envs.safety.limits import Limits

SAME_CAP_W: Final = 0.5
"""Caps this close are the same: what devices round to anyway. One that an agent holds already is
not sent again; with 10,000 GPUs that is most of the messages."""
HELD_UP: Final = "this controller was too busy to hear the answer; read back before relying on it"
THREAD_SLACK_S: Final = 1.0
"""Beyond the agents' deadline, for the event loop to come round."""


class RemotePlant:
    """Implements ``CommandedPlant`` over the sessions of a fleet.

    Args:
        layout: The site's layout.
        fleet: Sessions with all agents.
        clock: The site's clock.
        events: The event loop the fleet runs in.
        answer_deadline_s: Longest wait for agents to carry out a command.
        acknowledge: Whether every agent is answered each time, also where nothing changes: a
            simulated site waits for that.
        leadership: Decides with the other controllers of the hall who acts; None: there are none.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        fleet: Fleet,
        clock: Clock,
        events: asyncio.AbstractEventLoop,
        answer_deadline_s: float,
        acknowledge: bool = True,
        leadership: Leadership | None = None,
    ) -> None:
        self._layout = layout
        self._fleet = fleet
        self._clock = clock
        self._events = events
        self._answer_deadline_s = answer_deadline_s
        self._acknowledge = acknowledge
        self._leadership = leadership
        self._sent_w = np.full(layout.group_count, np.nan)
        self._sent_epoch: dict[str, int] = {}
        self._measured_w = np.full(layout.group_count, np.nan)
        self._read_times_s: dict[str, float] = {}
        self._read_mono_s = time.monotonic()
        self._plant_agent = next(
            s.name for s in fleet.sessions.values() if s.config.kind is AgentKind.PLANT
        )

    @property
    def layout(self) -> Layout:
        """Return what stands where."""
        return self._layout

    def read(self) -> Telemetry:
        """Return the newest readings of all agents."""
        self._read_mono_s = time.monotonic()
        telemetry, self._read_times_s = self._fleet.state.snapshot(self._clock.now_s)
        self._measured_w = telemetry.group("power_limit_w")
        return telemetry

    def apply(self, setpoints: Setpoints) -> Applied:
        """Command setpoints in answer to what was last read; wait for the agents' answers."""
        return self._send(setpoints, self._read_times_s)

    def adjust(self, setpoints: Setpoints) -> Applied:
        """Command setpoints between decisions."""
        return self._send(setpoints, {})

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        """Acquire and renew the leases of nodes and plant, or release them; returns at once."""
        keep = self._fleet.keep_leases if self._leadership is None else self._leadership.keep_leases
        self._events.call_soon_threadsafe(lambda: keep(caps=caps, setpoints=setpoints))

    @property
    def leads(self) -> bool:
        """Return whether this controller may command until an answer is due."""
        if self._leadership is None:
            return True
        return self._leadership.leads(margin_s=self._answer_deadline_s)

    @property
    def overridden(self) -> Mapping[str, str]:
        """Return the levers the plant's own control overrides, each with what is known of it."""
        session = self._fleet.sessions[self._plant_agent]
        return session.overridden if isinstance(session, PlantSession) else {}

    def narrow(self, limits: Limits) -> Limits:
        """Return ``limits`` with what agents carry out now."""
        return self._fleet.state.narrow(limits)

    def _send(self, setpoints: Setpoints, answers_times_s: dict[str, float]) -> Applied:
        values = self._by_agent(setpoints)
        if not (answers_times_s and self._acknowledge):
            values = {name: of_agent for name, of_agent in values.items() if of_agent}
        work = self._fleet.command(
            values,
            answers_times_s=answers_times_s,
            deadline_s=self._answer_deadline_s,
            since_mono_s=self._read_mono_s,
        )
        future = asyncio.run_coroutine_threadsafe(work, self._events)
        try:
            answers = future.result(self._answer_deadline_s + THREAD_SLACK_S)
        except TimeoutError:
            # The event loop is held up, for example while a whole fleet connects. What became of
            # the commands is unknown; the next look tells, and decides anew.
            future.cancel()
            answers = {
                name: Answer(read_back={}, refusals=(f"{name}: {HELD_UP}",)) for name in values
            }
        return self._applied(answers, setpoints)

    def _by_agent(self, setpoints: Setpoints) -> dict[str, dict[str, float]]:
        """Return values by agent and device; agents without any get an empty command."""
        values: dict[str, dict[str, float]] = {name: {} for name in self._fleet.sessions}
        layout = self._layout
        caps_w = np.where(self._holds(setpoints), np.nan, setpoints.power_cap_w).tolist()
        for node, indices, cap_w in zip(layout.node_names, layout.gpu_indices, caps_w, strict=True):
            if np.isfinite(cap_w):
                values[node].update((str(index), cap_w) for index in indices)
        levers = values[self._plant_agent]
        for lever, value in zip(PLANT_LEVERS, setpoints.plant.tolist(), strict=True):
            if np.isfinite(value):
                levers[lever.name] = value
        return values

    def _holds(self, setpoints: Setpoints) -> BoolArray:
        """Return which groups were sent this cap under the present lease, and measure it too."""
        cap_w = setpoints.power_cap_w
        same = np.abs(self._sent_w - cap_w) < SAME_CAP_W
        same &= np.abs(self._measured_w - cap_w) < SAME_CAP_W
        for n in np.flatnonzero(same):
            node = self._layout.node_names[n]
            same[n] = self._sent_epoch.get(node) == self._fleet.sessions[node].lease.epoch
        return np.asarray(same)

    def _applied(self, answers: dict[str, Answer], setpoints: Setpoints) -> Applied:
        nothing = Answer(read_back={})
        layout = self._layout
        held_before = self._holds(setpoints)
        cap_w = np.where(held_before, self._measured_w, np.nan)
        for n, (node, indices) in enumerate(
            zip(layout.node_names, layout.gpu_indices, strict=True)
        ):
            answer = answers.get(node)
            if answer is None or held_before[n]:
                continue
            held = answer.read_back
            cap_w[n] = min((held[str(i)] for i in indices if str(i) in held), default=np.nan)
            self._sent_w[n] = setpoints.power_cap_w[n] if not answer.refusals else np.nan
            self._sent_epoch[node] = self._fleet.sessions[node].lease.epoch
        levers = answers.get(self._plant_agent, nothing).read_back
        return Applied(
            setpoints=Setpoints(
                power_cap_w=cap_w,
                sm_clock_max_mhz=np.full(layout.group_count, np.nan),
                plant=np.array([levers.get(lever.name, np.nan) for lever in PLANT_LEVERS]),
            ),
            refusals=tuple(text for answer in answers.values() for text in answer.refusals),
        )
