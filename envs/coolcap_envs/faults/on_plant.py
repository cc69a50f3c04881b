"""Between a batch of plants and its faults: what is written before a step, and what is read after.

Nothing here runs, and no array is touched, while no plant has a plan.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.faults.draw import FaultDraw
from coolcap_envs.faults.kinds import TRIPS
from coolcap_envs.faults.plan import FaultPlan
from coolcap_envs.faults.state import FaultState
from coolcap_envs.physics.batch import Batch
from coolcap_envs.site import Site

_AVAILABLE: Final = tuple(f"{kind.removesuffix('-trip')}_available_ratio" for kind in TRIPS)
"""Inputs of the physics that trips act on."""


class PlantFaults:
    """Faults of the plants of one batch.

    Args:
        site: The site.
        batch: Its plants.
        levers: Input of the physics for each plant lever that the site can move, in their order.
    """

    def __init__(self, site: Site, batch: Batch, *, levers: Sequence[str]) -> None:
        self._site = site
        self._batch = batch
        self._levers = tuple(levers)
        self._state = FaultState(site.layout, plants=batch.size)
        self._start_s = np.zeros(batch.size)
        self._allowed = np.ones((len(TRIPS), batch.size))
        self._commanded_w = np.zeros((batch.size, site.layout.group_count))

    @property
    def in_use(self) -> bool:
        """Return whether any plant may have faults."""
        return self._state.in_use

    def start(self, b: int, plan: FaultPlan | None, seed: np.random.SeedSequence) -> None:
        """Begin the episode that was just drawn for plant ``b``.

        Raises:
            ConfigError: If the plan names what the site has not.
        """
        self._allowed[:, b] = 1.0
        if plan is None and not self.in_use:
            return
        if plan is not None:
            plan.check(self._site.layout)
        if not self.in_use:
            self._commanded_w[:] = self._batch.get("group_inputs", "power_cap_w")
        self._commanded_w[b] = self._site.layout.power_limit_default_w
        self._start_s[b] = self._batch.get("plant", "time_s")[b]
        draw = None if plan is None else FaultDraw(plan, self._site.layout, seed)
        self._state.start(b, draw)

    def _now_s(self) -> FloatArray:
        now_s: FloatArray = self._batch.get("plant", "time_s") - self._start_s
        return now_s

    def before_step(self, pace: FloatArray | None, *, dt_s: float) -> None:
        """Write what faults, and jobs over several groups, do to the step that begins.

        Args:
            pace: Highest work rate of each group for the sake of its job, ``[B, N]``, or None.
            dt_s: Length of the step.
        """
        batch, state = self._batch, self._state
        if self.in_use:
            changed = state.turn(self._now_s())
            for k, name in enumerate(_AVAILABLE):
                batch.set("inputs", name, np.minimum(self._allowed[k], state.available[:, k]))
            if changed:
                self._restore(changed)
            effective_w = state.effective_caps_w(self._commanded_w, dt_s=dt_s)
            batch.set("group_inputs", "power_cap_w", effective_w)
            pace = state.rate_max if pace is None else np.minimum(pace, state.rate_max)
        if pace is not None:
            batch.set("group_inputs", "rate_max_ratio", pace)

    def _restore(self, changed: list[int]) -> None:
        """Let agents whose lease has run out put back what was in force before the episode."""
        batch, state, site = self._batch, self._state, self._site
        gone = np.zeros_like(state.restored)
        gone[changed] = state.restored[changed]
        if gone.any():
            default_w = np.broadcast_to(site.layout.power_limit_default_w, gone.shape)
            self._commanded_w[gone] = default_w[gone]
            clocks = batch.get("group_inputs", "clock_max_ratio")
            clocks[gone] = 1.0
            batch.set("group_inputs", "clock_max_ratio", clocks)
        silent = [b for b in changed if state.restored_plant[b]]
        for k, name in enumerate(self._levers if silent else ()):
            if site.layout.plant_levers[k]:
                values = batch.get("inputs", name)
                values[silent] = site.limits.lever_default[k]
                batch.set("inputs", name, values)

    def allow(self, name: str, share: FloatArray) -> None:
        """Take the share of equipment that is fit to run but for faults, shape ``[B]``."""
        self._allowed[_AVAILABLE.index(name)] = share

    def heard(self, setpoints: Setpoints) -> Setpoints:
        """Return the part that agents hear, or answer to; arrays have the axis ``[B]``."""
        if not self.in_use:
            return setpoints
        deaf = self._state.deaf
        return Setpoints(
            power_cap_w=np.where(deaf, np.nan, setpoints.power_cap_w),
            sm_clock_max_mhz=np.where(deaf, np.nan, setpoints.sm_clock_max_mhz),
            plant=np.where(self._state.deaf_plant[:, None], np.nan, setpoints.plant),
        )

    def held_caps_w(self) -> FloatArray:
        """Return the caps the devices report, whatever they keep to, shape ``[B, N]``."""
        if self.in_use:
            return self._commanded_w.copy()
        return self._batch.get("group_inputs", "power_cap_w")

    def take_caps_w(self, caps_w: FloatArray) -> None:
        """Take the caps that were commanded, shape ``[B, N]``."""
        if self.in_use:
            self._commanded_w[:] = caps_w
        self._batch.set("group_inputs", "power_cap_w", caps_w)

    def spoil(
        self,
        groups: FloatArray,
        plant: FloatArray,
        groups_age_s: FloatArray,
        plant_age_s: FloatArray,
    ) -> None:
        """Turn readings into those of failing instruments, in place; see :class:`FaultState`."""
        if self.in_use:
            self._state.spoil(
                groups,
                plant,
                groups_age_s,
                plant_age_s,
                commanded_w=self._commanded_w,
                now_s=self._now_s(),
            )

    def copy_member(self, target: int, other: "PlantFaults", source: int) -> None:
        """Let plant ``target`` have the faults plant ``source`` of ``other`` has and will have."""
        if not (self.in_use or other.in_use):
            return
        if not self.in_use:
            self._commanded_w[:] = self._batch.get("group_inputs", "power_cap_w")
        self._commanded_w[target] = other.held_caps_w()[source]
        self._start_s[target] = other._start_s[source]
        self._allowed[:, target] = other._allowed[:, source]
        self._state.copy_member(target, other._state, source)
