"""The node agent's own limits: which GPUs it may cap, and between which values.

They hold whatever the controller sends, and stand in ``[limits]`` or in a file of their own::

    [limits]
    allowed_gpus = ["*"]                # or UUIDs
    power_cap_min_w = 280.0             # absent: 1.4 times the lowest the device takes
    power_cap_max_w = 700.0             # absent: the highest the device takes
    power_cap_rise_max_w_per_s = 20.0   # absent: not limited; a fall never is

    [limits.gpu."GPU-3f2a"]             # exceptions for one GPU, same keys
    power_cap_min_w = 350.0
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import Spec
from coolcap_agent.drivers.base import GpuInfo
from coolcap_agent.journal import Key
from coolcap_envs.contract.config import Table

POWER_LEVER: Final = "power_cap_w"
"""Name of the lever in journal and API."""
FLOOR_RATIO: Final = 1.4
"""Default floor over the device's lowest limit: below it throughput falls off a cliff, and energy
per unit of work rises (seen on A40, V100, RTX 3090 with caps under about 40 % of the maximum)."""
POWER_MAX_W: Final = 3000.0
"""Widest range a limits file may name; as for the signal ``power_limit_w``."""
POWER_TOLERANCE_W: Final = 0.5
"""NVML takes milliwatts, but some boards round to a watt."""
SLEW_SPAN_MAX_S: Final = 60.0
"""A single rise makes up for at most this much time without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLimits:
    """Limits of one GPU; NaN where the file says nothing."""

    power_cap_min_w: float
    power_cap_max_w: float
    power_cap_rise_max_w_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CapLimits:
    """Own limits of a node agent; ``origin`` names their file."""

    allowed_gpus: tuple[str, ...]
    common: GpuLimits
    of_gpu: Mapping[str, GpuLimits]
    origin: str

    def allows(self, uuid: str) -> bool:
        """Return whether this GPU may be capped at all."""
        return "*" in self.allowed_gpus or uuid in self.allowed_gpus

    def spec(self, info: GpuInfo, *, read_only: bool) -> Spec:
        """Return what may be done with the power cap of one GPU."""
        limits = self.of_gpu.get(info.uuid, self.common)
        floor_w = min(FLOOR_RATIO * info.power_limit_min_w, info.power_limit_max_w)
        wanted_low_w = _or(limits.power_cap_min_w, floor_w)
        wanted_high_w = _or(limits.power_cap_max_w, info.power_limit_max_w)
        low_w = max(info.power_limit_min_w, wanted_low_w)
        high_w = min(info.power_limit_max_w, wanted_high_w)
        device_range = f"{info.power_limit_min_w:.1f} to {info.power_limit_max_w:.1f} W"
        outcome, why = Outcome.REFUSED_NOT_COMMANDABLE, ""
        if not self.allows(info.uuid):
            why = f"{info.uuid} is not in allowed_gpus ({self.origin})"
        elif not low_w <= high_w:
            why = (
                f"{wanted_low_w:.1f} to {wanted_high_w:.1f} W ({self.origin}) leaves nothing of "
                f"the {device_range} that {info.uuid} takes; mend the limits"
            )
            low_w, high_w = info.power_limit_min_w, info.power_limit_max_w
        elif info.read_only_reason:
            outcome, why = Outcome.READ_ONLY, info.read_only_reason
        elif read_only:
            outcome, why = Outcome.READ_ONLY, "the agent's config says read_only = true"
        return Spec(
            key=power_key(info.uuid),
            name=f"power cap {{}} for {info.uuid}",
            unit="W",
            digits=1,
            device_low=info.power_limit_min_w,
            device_high=info.power_limit_max_w,
            low=low_w,
            high=high_w,
            limits_origin=f"own limits, {self.origin}",
            rise_max_per_s=_or(limits.power_cap_rise_max_w_per_s, math.inf),
            fall_max_per_s=math.inf,
            slew_span_max_s=SLEW_SPAN_MAX_S,
            tolerance=POWER_TOLERANCE_W,
            refusal=why,
            refusal_outcome=outcome,
            default=info.power_limit_default_w
            if math.isfinite(info.power_limit_default_w)
            else None,
            releases=False,
            reapply=True,
        )


def power_key(uuid: str) -> Key:
    """Return the journal's key of a GPU's power cap."""
    return uuid, POWER_LEVER


def read_cap_limits(table: Table, *, origin: str) -> CapLimits:
    """Read ``[limits]``; problems are collected in ``table.problems``."""
    allowed = table.take_strs("allowed_gpus", default=("*",))
    common = _read_gpu_limits(table)
    parts = table.take_table("gpu", needed=False)
    of_gpu: dict[str, GpuLimits] = {}
    for uuid in parts.keys():  # noqa: SIM118 - a Table is no mapping
        part = parts.take_table(uuid)
        of_gpu[uuid] = _read_gpu_limits(part, otherwise=common)
        part.finish()
    table.finish()
    return CapLimits(allowed_gpus=allowed, common=common, of_gpu=of_gpu, origin=origin)


def _read_gpu_limits(table: Table, otherwise: GpuLimits | None = None) -> GpuLimits:
    def take(key: str, high: float, unit: str) -> float:
        if table.has(key):
            return table.take_float(key, low=1e-3, high=high, unit=unit)
        return getattr(otherwise, key) if otherwise else math.nan

    limits = GpuLimits(
        power_cap_min_w=take("power_cap_min_w", POWER_MAX_W, "W"),
        power_cap_max_w=take("power_cap_max_w", POWER_MAX_W, "W"),
        power_cap_rise_max_w_per_s=take("power_cap_rise_max_w_per_s", 1e6, "W/s"),
    )
    if limits.power_cap_min_w > limits.power_cap_max_w:
        table.complain(
            "power_cap_min_w",
            f"= {limits.power_cap_min_w:g} W must not be above power_cap_max_w = "
            f"{limits.power_cap_max_w:g} W",
        )
    return limits


def _or(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value
