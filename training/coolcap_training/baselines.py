"""Finding the static caps of baselines C1 and C2, on days of training, by trying all of a grid.

``coolcap_envs.baselines`` holds the frozen result; ``coolcap-train caps`` finds it again.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.episode import STEP_S, Days, Episodes
from coolcap_envs.rollout import scenarios_for, settings_of
from coolcap_envs.site import Site

CAP_RATIOS: Final = tuple(round(0.40 + 0.05 * i, 2) for i in range(13))
"""Caps that are tried, of the highest."""
_SEED: Final = 7_001


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticCaps:
    """Best static caps of a site under cooling B3, of the highest cap.

    Attributes:
        cap_ratio: C1: one for all groups.
        class_cap_ratio: C2: one per workload class, by the name of its signal.
        rewards: Mean reward of a group for each of ``CAP_RATIOS`` and class; the last row is all
            classes together.
    """

    cap_ratio: float
    class_cap_ratio: dict[str, float]
    rewards: FloatArray


def best_static_caps(site: Site, *, scenario_count: int, duration_s: float) -> StaticCaps:
    """Return the caps with the highest mean reward of groups, over equal scenarios.

    Args:
        site: The site.
        scenario_count: Scenarios each cap is tried in.
        duration_s: Length of each.
    """
    scenarios = scenarios_for(
        site, count=scenario_count, seed=_SEED, days=Days.TRAINING, duration_s=duration_s
    )
    count = len(CAP_RATIOS) * scenario_count
    episodes = Episodes(site, batch_size=count)
    for b in range(count):
        scenario = scenarios[b % scenario_count]
        episodes.start(
            [np.random.default_rng(scenario.seed)] * count,
            where=np.arange(count) == b,
            settings=settings_of(scenario),
        )
    ratios = np.repeat(CAP_RATIOS, scenario_count)
    limits = site.limits
    cap_w = np.clip(ratios[:, None] * limits.power_cap_max_w, limits.power_cap_min_w, None)
    sums = np.zeros((len(WORKLOAD_SIGNALS), count))
    times = np.zeros_like(sums)
    for _ in range(round(duration_s / STEP_S)):
        shares = np.stack([episodes.truth.group(name) for name in WORKLOAD_SIGNALS])
        step = episodes.command(
            Setpoints(
                power_cap_w=cap_w,
                sm_clock_max_mhz=np.full_like(cap_w, np.nan),
                plant=episodes.moment.baseline.plant,
            )
        )
        sums += (shares * step.reward.groups).sum(axis=-1)
        times += shares.sum(axis=-1)
    shape = (len(WORKLOAD_SIGNALS), len(CAP_RATIOS), scenario_count)
    by_class = sums.reshape(shape).sum(axis=-1)
    each = by_class / np.maximum(times.reshape(shape).sum(axis=-1), 1e-9)
    together = by_class.sum(axis=0) / np.maximum(times.reshape(shape).sum(axis=(0, 2)), 1e-9)
    return StaticCaps(
        cap_ratio=CAP_RATIOS[int(together.argmax())],
        class_cap_ratio={
            name: CAP_RATIOS[int(row.argmax())]
            for name, row in zip(WORKLOAD_SIGNALS, each, strict=True)
        },
        rewards=np.vstack([each, together]),
    )
