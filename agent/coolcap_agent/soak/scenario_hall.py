"""A hall whose power is known exactly, with everything that can go wrong with it.

What agents say goes through the real ``FleetState``; what they do is simulated: a command reaches
the nodes that obey, a node that is cut off restores when its lease ends, and one that is mute says
nothing more.
"""

import dataclasses
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.controller.fleet_state import FleetState
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.signals import GROUP_COLUMN, GROUP_SIGNALS, PLANT_COLUMN, PLANT_SIGNALS
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits

LEASE_TTL_S: Final = 5.0
STALE_AFTER_S: Final = 5.0
"""As the controller's sessions have it: silence after which readings are no longer shown."""
START_S: Final = 1_000_000.0
_PLANT: Final = {
    "supply_air_temp_c": 20.0,
    "inlet_temp_max_c": 23.0,
    "wet_bulb_temp_c": 13.0,
    "dew_point_c": 9.0,
    "crah_available_ratio": 1.0,
    "chiller_available_ratio": 1.0,
}


@dataclass(slots=True, kw_only=True)
class Nodes:
    """What is true of each node, shape ``[N]``; one group each.

    Attributes:
        cap_w: Limit each GPU enforces.
        demand_w: What each GPU would draw without a limit.
        other_w: Power of the server beside its GPUs.
        cut_off: No message passes, either way.
        mute: Commands arrive, telemetry does not.
        lease_end_s: When the node restores unless a renewal comes.
    """

    cap_w: FloatArray
    demand_w: FloatArray
    other_w: FloatArray
    cut_off: BoolArray
    mute: BoolArray
    lease_end_s: FloatArray


class ScenarioHall:
    """Implements ``CommandedPlant`` over nodes in memory.

    Args:
        layout: What stands where; each node is one group.
        limits: The site's limits.
        rng: Draws loads, noise of meters, and what is lost.
    """

    def __init__(self, layout: Layout, limits: Limits, rng: np.random.Generator) -> None:
        count = layout.group_count
        self._layout = layout
        self._rng = rng
        self.time_s = START_S
        self.leads = True
        self.overridden: dict[str, str] = {}
        self.plant = dict(_PLANT)
        self.nodes = Nodes(
            cap_w=layout.power_limit_default_w.copy(),
            demand_w=rng.uniform(100.0, 700.0, count),
            other_w=layout.gpu_count * rng.uniform(80.0, 300.0, count),
            cut_off=np.zeros(count, dtype=bool),
            mute=np.zeros(count, dtype=bool),
            lease_end_s=np.full(count, -np.inf),
        )
        self._setpoint = np.where(np.isnan(limits.lever_low), np.nan, limits.lever_default)
        self._state = FleetState(layout, start_time_s=START_S)
        self._heard_s = np.full(count, START_S)
        for node, gpus in zip(layout.node_names, layout.gpu_indices, strict=True):
            self._state.take_cap_range(
                node,
                low_w=np.full(len(gpus), 200.0),
                high_w=np.full(len(gpus), 700.0),
                commandable=np.ones(len(gpus), dtype=bool),
            )
            self._state.set_obeys(node, True)

    @property
    def layout(self) -> Layout:
        """Return what stands where."""
        return self._layout

    def power_w(self) -> FloatArray:
        """Return the IT power of each node, as it is."""
        nodes = self.nodes
        return self._layout.gpu_count * np.minimum(nodes.cap_w, nodes.demand_w) + nodes.other_w

    def advance(self, seconds: float) -> None:
        """Let time pass: leases end, readings arrive."""
        self.time_s += seconds
        nodes = self.nodes
        over = nodes.lease_end_s <= self.time_s
        nodes.cap_w = np.where(over, self._layout.power_limit_default_w, nodes.cap_w)
        heard = ~(nodes.cut_off | nodes.mute)
        self._heard_s = np.where(heard, self.time_s, self._heard_s)
        power_w = self.power_w()
        noise = 1.0 + 0.005 * self._rng.standard_normal(power_w.size)
        for n in np.flatnonzero(heard):
            self._state.take_node(
                self._layout.node_names[n],
                self._rows(int(n), float(power_w[n] * noise[n])),
                measure_time_s=self.time_s,
            )
        for n in np.flatnonzero(self.time_s - self._heard_s > STALE_AFTER_S):
            self._state.lose_node(self._layout.node_names[n])
        # As the sessions do: the controller knows when the leases it holds end at the latest.
        leased = nodes.lease_end_s > self.time_s
        for node, cut_off, known in zip(
            self._layout.node_names, nodes.cut_off.tolist(), leased.tolist(), strict=True
        ):
            self._state.set_obeys(node, not cut_off, limit_known=known or not cut_off)
        values = np.full(len(PLANT_SIGNALS), np.nan)
        for name, value in self.plant.items():
            values[PLANT_COLUMN[name]] = value
        values[: len(PLANT_LEVERS)] = self._setpoint
        times_s = np.full(values.shape, self.time_s)
        self._state.take_plant("plant", values, times_s, measure_time_s=self.time_s)

    def read(self) -> Telemetry:
        """Return the newest readings."""
        return self._state.snapshot(lambda: self.time_s)[0]

    def apply(self, setpoints: Setpoints) -> Applied:
        """Carry a command out where it arrives."""
        takes = np.isfinite(setpoints.power_cap_w) & ~self.nodes.cut_off
        self.nodes.cap_w = np.where(takes, setpoints.power_cap_w, self.nodes.cap_w)
        self._setpoint = np.where(np.isfinite(setpoints.plant), setpoints.plant, self._setpoint)
        return Applied(
            setpoints=Setpoints(
                power_cap_w=np.where(takes, self.nodes.cap_w, np.nan),
                sm_clock_max_mhz=np.full(takes.size, np.nan),
                plant=self._setpoint.copy(),
            )
        )

    adjust = apply

    def keep_leases(self, *, caps: bool, setpoints: bool) -> None:
        """Renew the leases of all nodes that can be reached."""
        if caps:
            end_s = self.time_s + LEASE_TTL_S
            self.nodes.lease_end_s = np.where(self.nodes.cut_off, self.nodes.lease_end_s, end_s)

    def narrow(self, limits: Limits) -> Limits:
        """Return ``limits`` with what agents carry out now."""
        return self._state.narrow(limits)

    def whole(self) -> None:
        """End everything that is wrong with the nodes."""
        self.nodes = dataclasses.replace(
            self.nodes,
            cut_off=np.zeros_like(self.nodes.cut_off),
            mute=np.zeros_like(self.nodes.mute),
        )

    def _rows(self, n: int, it_power_w: float) -> FloatArray:
        count = int(self._layout.gpu_count[n])
        rows = np.full((count, len(GROUP_SIGNALS)), np.nan)
        gpu_w = min(self.nodes.cap_w[n], self.nodes.demand_w[n])
        for name, value in (
            ("gpu_power_w", gpu_w),
            ("it_power_w", it_power_w / count),
            ("power_limit_w", self.nodes.cap_w[n]),
            ("sm_clock_mhz", 1500.0),
            ("gpu_util_ratio", 0.9),
            ("mem_util_ratio", 0.4),
            ("gpu_temp_c", 60.0),
            ("hbm_temp_c", 70.0),
            ("inlet_temp_c", 22.0),
            ("work_rate_ratio", 0.8),
            ("latency_ratio", 0.0),
            ("training_ratio", 1.0),
        ):
            rows[:, GROUP_COLUMN[name]] = value
        return rows
