"""The node agent's own limits: which GPUs it may command, and between which values.

They hold whatever the controller sends, and stand in ``[limits]`` or in a file of their own::

    [limits]
    allowed_gpus = ["*"]                # or UUIDs
    power_cap_min_w = 280.0             # absent: 1.4 times the lowest the device takes
    power_cap_max_w = 700.0             # absent: the highest the device takes
    power_cap_rise_max_w_per_s = 20.0   # absent: not limited; a fall never is
    sm_clock_min_mhz = 900.0            # lowest ceiling of the SM clock; absent: none is taken
    cap_partitioned_gpus = false        # GPUs in MIG mode, whose tenants a cap cannot tell apart
    foreign_changes = "reapply"         # or "yield", "alarm": when somebody else changes a value
    thermal_guard = true                # lower caps when a GPU nears its limit
    thermal_margin_min_k = 3.0

    [limits.gpu."GPU-3f2a"]             # power_cap_… and sm_clock_min_mhz for one GPU
    power_cap_min_w = 350.0
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import Spec
from coolcap_agent.drivers.base import GpuInfo
from coolcap_agent.journal import Key
from coolcap_envs.contract.config import Table

POWER_LEVER: Final = "power_cap_w"
CLOCK_LEVER: Final = "sm_clock_max_mhz"
"""Names of the levers in journal and API."""
FLOOR_RATIO: Final = 1.4
"""Default floor over the device's lowest limit: below it throughput falls off a cliff, and energy
per unit of work rises (seen on A40, V100, RTX 3090 with caps under about 40 % of the maximum)."""
POWER_MAX_W: Final = 3000.0
"""Widest range a limits file may name; as for the signal ``power_limit_w``."""
CLOCK_MAX_MHZ: Final = 5000.0
"""Widest range a limits file may name; above what any GPU runs at."""
POWER_TOLERANCE_W: Final = 0.5
"""NVML takes milliwatts, but some boards round to a watt."""
CLOCK_TOLERANCE_MHZ: Final = 0.5
"""NVML takes whole megahertz."""
SLEW_SPAN_MAX_S: Final = 60.0
"""A single rise makes up for at most this much time without one."""
THERMAL_MARGIN_MIN_K: Final = 3.0
"""Default distance from the highest operating temperature at which caps are lowered. An H100 slows
itself down 2 K beyond that temperature and switches off 8 K beyond it (its T.Limit fields)."""


class ForeignChanges(StrEnum):
    """What to do when somebody else changes a value that was commanded."""

    REAPPLY = "reapply"
    YIELD = "yield"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLimits:
    """Limits of one GPU; NaN where the file says nothing."""

    power_cap_min_w: float
    power_cap_max_w: float
    power_cap_rise_max_w_per_s: float
    sm_clock_min_mhz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CapLimits:
    """Own limits of a node agent; ``origin`` names their file.

    ``thermal_margin_min_k`` is NaN where the thermal guard is switched off.
    """

    allowed_gpus: tuple[str, ...]
    common: GpuLimits
    of_gpu: Mapping[str, GpuLimits]
    origin: str
    cap_partitioned: bool
    foreign_changes: ForeignChanges
    thermal_margin_min_k: float

    def allows(self, uuid: str) -> bool:
        """Return whether this GPU may be commanded at all."""
        return "*" in self.allowed_gpus or uuid in self.allowed_gpus

    def spec(self, info: GpuInfo, *, read_only: bool) -> Spec:
        """Return what may be done with the power cap of one GPU."""
        limits = self._limits(info)
        floor_w = min(FLOOR_RATIO * info.power_limit_min_w, info.power_limit_max_w)
        wanted_low_w = _or(limits.power_cap_min_w, floor_w)
        wanted_high_w = _or(limits.power_cap_max_w, info.power_limit_max_w)
        low_w = max(info.power_limit_min_w, wanted_low_w)
        high_w = min(info.power_limit_max_w, wanted_high_w)
        outcome, why = self._refusal(info, read_only=read_only)
        if not why and not low_w <= high_w:
            device_range = f"{info.power_limit_min_w:.1f} to {info.power_limit_max_w:.1f} W"
            outcome = Outcome.REFUSED_NOT_COMMANDABLE
            why = (
                f"{wanted_low_w:.1f} to {wanted_high_w:.1f} W ({self.origin}) leaves nothing of "
                f"the {device_range} that {info.uuid} takes; mend the limits"
            )
            low_w, high_w = info.power_limit_min_w, info.power_limit_max_w
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
            default=_finite(info.power_limit_default_w),
            releases=False,
            reapply=self.foreign_changes is ForeignChanges.REAPPLY,
            yields=self.foreign_changes is ForeignChanges.YIELD,
        )

    def clock_spec(self, info: GpuInfo, *, read_only: bool) -> Spec:
        """Return what may be done with the ceiling of one GPU's SM clock.

        The highest clock stands for no ceiling.
        """
        low_mhz, high_mhz = info.sm_clock_min_mhz, info.sm_clock_max_mhz
        wanted_low_mhz = self._limits(info).sm_clock_min_mhz
        outcome, why = self._refusal(info, read_only=read_only)
        if not (math.isfinite(low_mhz) and math.isfinite(high_mhz)):
            outcome, why = (
                Outcome.REFUSED_NOT_COMMANDABLE,
                f"{info.uuid} takes no lock on its clock",
            )
        elif not why and math.isnan(wanted_low_mhz):
            outcome = Outcome.REFUSED_NOT_COMMANDABLE
            why = (
                f"{info.uuid} takes no clock ceiling from this agent: its limits give no "
                f"sm_clock_min_mhz ({self.origin})"
            )
        elif not why and wanted_low_mhz > high_mhz:
            outcome = Outcome.REFUSED_NOT_COMMANDABLE
            why = (
                f"sm_clock_min_mhz = {wanted_low_mhz:g} MHz ({self.origin}) is above the "
                f"{high_mhz:g} MHz that {info.uuid} runs at most; mend the limits"
            )
        return Spec(
            key=clock_key(info.uuid),
            name=f"SM clock ceiling {{}} for {info.uuid}",
            unit="MHz",
            digits=0,
            device_low=low_mhz,
            device_high=high_mhz,
            low=max(low_mhz, wanted_low_mhz) if not why else low_mhz,
            high=high_mhz,
            limits_origin=f"own limits, {self.origin}",
            rise_max_per_s=math.inf,
            fall_max_per_s=math.inf,
            slew_span_max_s=SLEW_SPAN_MAX_S,
            tolerance=CLOCK_TOLERANCE_MHZ,
            refusal=why,
            refusal_outcome=outcome,
            default=_finite(high_mhz),
            releases=False,
            reapply=self.foreign_changes is ForeignChanges.REAPPLY,
            # Who changed a clock, and whether anybody did, is inferred: too little to give it up.
            yields=False,
            blind=True,
        )

    def _limits(self, info: GpuInfo) -> GpuLimits:
        return self.of_gpu.get(info.uuid, self.common)

    def _refusal(self, info: GpuInfo, *, read_only: bool) -> tuple[Outcome, str]:
        """Return why nothing of a GPU is commanded, and the outcome of a command for it."""
        if not self.allows(info.uuid):
            why = f"{info.uuid} is not in allowed_gpus ({self.origin})"
            return Outcome.REFUSED_NOT_COMMANDABLE, why
        if info.read_only_reason:
            return Outcome.READ_ONLY, info.read_only_reason
        if read_only:
            return Outcome.READ_ONLY, "the agent's config says read_only = true"
        if info.partitioned and not self.cap_partitioned:
            return Outcome.REFUSED_NOT_COMMANDABLE, (
                f"{info.uuid} is partitioned (MIG), and a cap would hold for all its tenants; if "
                f"they are yours, set cap_partitioned_gpus = true ({self.origin})"
            )
        return Outcome.READ_ONLY, ""


def power_key(uuid: str) -> Key:
    """Return the journal's key of a GPU's power cap."""
    return uuid, POWER_LEVER


def clock_key(uuid: str) -> Key:
    """Return the journal's key of a GPU's clock ceiling."""
    return uuid, CLOCK_LEVER


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
    policies = tuple(policy.value for policy in ForeignChanges)
    foreign = table.take_str("foreign_changes", allowed=policies, default=ForeignChanges.REAPPLY)
    margin_k = table.take_float(
        "thermal_margin_min_k", low=0.0, high=30.0, unit="K", default=THERMAL_MARGIN_MIN_K
    )
    limits = CapLimits(
        allowed_gpus=allowed,
        common=common,
        of_gpu=of_gpu,
        origin=origin,
        cap_partitioned=table.take_bool("cap_partitioned_gpus", default=False),
        foreign_changes=ForeignChanges(foreign if foreign in policies else ForeignChanges.REAPPLY),
        thermal_margin_min_k=margin_k
        if table.take_bool("thermal_guard", default=True)
        else math.nan,
    )
    table.finish()
    return limits


def _read_gpu_limits(table: Table, otherwise: GpuLimits | None = None) -> GpuLimits:
    def take(key: str, high: float, unit: str) -> float:
        if table.has(key):
            return table.take_float(key, low=1e-3, high=high, unit=unit)
        return getattr(otherwise, key) if otherwise else math.nan

    limits = GpuLimits(
        power_cap_min_w=take("power_cap_min_w", POWER_MAX_W, "W"),
        power_cap_max_w=take("power_cap_max_w", POWER_MAX_W, "W"),
        power_cap_rise_max_w_per_s=take("power_cap_rise_max_w_per_s", 1e6, "W/s"),
        sm_clock_min_mhz=take("sm_clock_min_mhz", CLOCK_MAX_MHZ, "MHz"),
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


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
