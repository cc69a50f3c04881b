"""Runs the compiled control step for a batch of simulated plants and hands out what it holds."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from coolcap_envs.compiled.control import make_control
from coolcap_envs.compiled.step import Asked, Outputs, run_steps
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES, Observation
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.physics.batch import Batch, get_field, get_members, set_field
from coolcap_envs.physics.hall import readable
from coolcap_envs.physics.records import SUBSTEP_S
from coolcap_envs.reward import Reward, Weights
from coolcap_envs.safety.shield import Shielded
from coolcap_envs.site import Site
from coolcap_envs.workload.feed import SUBSTEPS_PER_DEMAND, DemandFeed


class Engine:
    """The compiled control step over the plants of a batch.

    What it hands out is of now: copies, made when asked for.

    Args:
        site: The site.
        batch: Its plants.
        feed: Their demand.
        weights: Of the reward.
        threads: Threads that share the tiles; the result is the same bit for bit.
    """

    def __init__(
        self, site: Site, batch: Batch, feed: DemandFeed, weights: Weights, *, threads: int = 1
    ) -> None:
        self._site, self._batch, self._feed = site, batch, feed
        tiles = len(batch.plant)
        self._control = make_control(
            site.layout,
            site.limits,
            weights,
            tiles=tiles,
            step_s=SUBSTEPS_PER_DEMAND * SUBSTEP_S,
        )
        self.set_budgets(site.limits.budget_w)
        count = min(threads, tiles)
        self._pool = ThreadPoolExecutor(count - 1) if count > 1 else None
        bounds = [round(tiles * k / count) for k in range(count + 1)]
        self._shares = list(pairwise(bounds))
        self._out = self._new_outputs()

    @property
    def can_step(self) -> bool:
        """Return whether demand is at the beginning of a step of its own for every plant."""
        return self._feed.is_at_a_step

    def set_budgets(self, budget_w: FloatArray) -> None:
        """Set the power budgets, ``[number of budgets]`` or ``[B, number of budgets]``."""
        for s in range(budget_w.shape[-1]):
            set_field(self._control.budgets_w, f"budget_{s}", budget_w[..., s], self._batch.size)

    def set_rule(
        self, setpoints: Setpoints, work_value: FloatArray, *, where: BoolArray | None = None
    ) -> None:
        """Let the rule continue from ``setpoints`` in the members ``where`` says."""
        size, control = self._batch.size, self._control
        chosen = np.ones(size, dtype=bool) if where is None else where
        before = self.baseline()
        caps_w = np.where(chosen[:, None], setpoints.power_cap_w, before.power_cap_w)
        set_field(control.groups, "baseline_cap_w", caps_w, size)
        levers = np.where(chosen[:, None], setpoints.plant, before.plant)
        for k, lever in enumerate(PLANT_LEVERS):
            set_field(control.baseline, lever.name, levers[:, k], size)
        set_field(control.plant, "work_value", work_value, size)

    def look(self) -> None:
        """Read the plants and encode; no time passes and the rule stays."""
        size, groups = self._batch.size, self._site.layout.group_count
        nothing = np.zeros((size, groups)), np.zeros((size, len(PLANT_LEVERS)))
        self._run(*nothing, is_action=False, substeps=0)

    def step(self, groups: FloatArray, plant: FloatArray, *, is_action: bool) -> None:
        """Make one control step.

        Args:
            groups: Actions on caps, or caps in W, ``[B, N]``.
            plant: Actions on levers, or setpoints, ``[B, K]``.
            is_action: Which of the two.
        """
        self._run(groups, plant, is_action=is_action, substeps=SUBSTEPS_PER_DEMAND)
        self._feed.advance(SUBSTEPS_PER_DEMAND)

    def _run(
        self, groups: FloatArray, plant: FloatArray, *, is_action: bool, substeps: int
    ) -> None:
        demand, classes, at = self._feed.now()
        asked = Asked(
            groups=np.ascontiguousarray(groups, dtype=np.float64),
            plant=np.ascontiguousarray(plant, dtype=np.float64),
            demand=demand,
            classes=classes,
            at=at,
        )
        self._out = out = self._new_outputs()
        batch, control = readable(self._batch), readable(self._control)

        def run(share: tuple[int, int]) -> None:
            run_steps(batch, control, asked, out, is_action, substeps, *share)

        self._share_out(run)

    def _share_out(self, run: Callable[[tuple[int, int]], None]) -> None:
        mine, *others = self._shares
        waiting = [self._pool.submit(run, share) for share in others] if self._pool else []
        run(mine)
        for one in waiting:
            one.result()

    def _new_outputs(self) -> Outputs:
        size, groups = self._batch.size, self._site.layout.group_count
        return Outputs(
            groups=np.empty((size, groups, len(GROUP_FEATURES)), dtype=np.float32),
            plant=np.empty((size, len(PLANT_FEATURES)), dtype=np.float32),
            group_rewards=np.empty((size, groups)),
        )

    @property
    def outputs(self) -> Outputs:
        """Return what the last step or look gave; it is not written to again."""
        return self._out

    def telemetry(self) -> Telemetry:
        """Return what the instruments show."""
        size, control = self._batch.size, self._control
        groups = get_members(control.group_readings, size)
        plant = get_members(control.plant_readings, size)
        return Telemetry(
            time_s=self._batch.get("plant", "time_s"),
            groups=groups,
            plant=plant,
            groups_age_s=np.zeros(groups.shape[:2]),
            plant_age_s=np.zeros(plant.shape),
        )

    def observation(self) -> Observation:
        """Return the observation in float64."""
        size, control = self._batch.size, self._control
        return Observation(
            groups=get_members(control.group_features, size),
            plant=get_members(control.plant_features, size),
        )

    def _setpoints(self, cap: str, levers: str) -> Setpoints:
        size = self._batch.size
        caps_w = get_field(self._control.groups, cap, size)
        return Setpoints(
            power_cap_w=caps_w,
            sm_clock_max_mhz=np.full_like(caps_w, np.nan),
            plant=get_members(getattr(self._control, levers), size),
        )

    def baseline(self) -> Setpoints:
        """Return what the rule would set now."""
        return self._setpoints("baseline_cap_w", "baseline")

    def asked(self) -> Setpoints:
        """Return what the last step was asked, before the shield."""
        return self._setpoints("asked_cap_w", "asked")

    def shielded(self) -> Shielded:
        """Return what the last step did, with reasons."""
        size, control = self._batch.size, self._control
        return Shielded(
            setpoints=self._setpoints("cap_w", "allowed"),
            group_reasons=get_field(control.groups, "reasons", size).astype(np.int64),
            plant_reasons=get_members(control.lever_reasons, size).view(np.int64),
        )

    def shielded_count(self) -> FloatArray:
        """Return how many levers of each plant the shield changed, ``[B]``."""
        return get_field(self._control.plant, "shielded_count", self._batch.size)

    def reward(self) -> Reward:
        """Return the reward of the last step."""
        table = get_members(self._control.reward, self._batch.size).T.copy()
        total, plant, energy, work, correction, inlet, gpu, latency = table
        return Reward(
            total=total,
            groups=self._out.group_rewards,
            plant=plant,
            terms={"energy": energy, "work": work, "correction": correction},
            costs={"inlet_temp": inlet, "gpu_temp": gpu, "latency": latency},
        )
