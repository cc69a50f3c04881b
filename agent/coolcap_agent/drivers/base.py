"""What a driver must do. Simulated and real hardware implement the same protocols.

Calls may block; daemons make them in worker threads with a deadline. Units are the house's
(W, °C, kWh, MHz, ratios); only drivers convert.

::

    DriverError
    ├── DeviceLost        the device does not answer any more; leave it alone until it is back
    │   └── ResetRequired the device must be reset first; a person has to do it
    ├── NotPermitted      the driver lacks a right; stay read-only and say which right
    ├── NotCommandable    the device has no such lever of its own; stay read-only and say why
    └── ValueRefused      the device does not accept this value; do not retry with it
        └── Overridden    a person or another system decides; do not fight it, leave the lever alone
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coolcap_envs.contract.errors import CoolcapError


class DriverError(CoolcapError):
    """A device could not do what was asked; says what was asked of which device."""


class DeviceLost(DriverError):  # noqa: N818 - reads as the event it reports
    """The device does not answer any more."""


class ResetRequired(DeviceLost):
    """The device has to be reset before it can be used again."""


class NotPermitted(DriverError):  # noqa: N818 - reads as the event it reports
    """The process lacks a right the device demands."""


class NotCommandable(DriverError):  # noqa: N818 - reads as the event it reports
    """The device has no such lever, or not one of its own."""


class ValueRefused(DriverError):  # noqa: N818 - reads as the event it reports
    """The device does not accept the value."""


class Overridden(ValueRefused):
    """A person or another system decides about the lever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuInfo:
    """What does not change about a GPU.

    ``read_only_reason`` is empty when caps can be set. ``sm_clock_min_mhz`` is the lowest ceiling
    the SM clock can be given, NaN if it takes none. ``partitioned``: its power is shared by tenants
    that a cap cannot tell apart (MIG).
    """

    uuid: str
    index: int
    model: str
    power_limit_min_w: float
    power_limit_max_w: float
    power_limit_default_w: float
    sm_clock_max_mhz: float
    read_only_reason: str = ""
    sm_clock_min_mhz: float = math.nan
    partitioned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One sample of one GPU; NaN where the device does not say.

    ``power_w`` is ΔE/Δt where the device counts energy. ``work_rate_ratio`` is relative to the
    uncapped device; ``work_gpu_h`` counts reference GPU-hours. ``workload_class`` is one of
    ``training``, ``prefill``, ``decode``, ``memory_bound`` or empty when unknown.
    ``clocks_event_reasons`` holds NVML's names in lower case, e.g. ``sw_power_cap``.
    ``sm_clock_limit_mhz`` is the ceiling of the SM clock in force, NaN without one;
    ``clocks_held_by_other``: somebody else has set one. ``temp_margin_k`` is how far the GPU is
    from its highest operating temperature, where it slows itself down.
    """

    uuid: str
    measure_time_s: float
    power_w: float
    energy_kwh: float
    power_limit_requested_w: float
    power_limit_enforced_w: float
    gpu_temp_c: float
    hbm_temp_c: float
    sm_clock_mhz: float
    gpu_util_ratio: float
    mem_util_ratio: float
    work_rate_ratio: float
    work_gpu_h: float
    latency_ratio: float
    workload_class: str
    clocks_event_reasons: tuple[str, ...] = ()
    sm_clock_limit_mhz: float = math.nan
    clocks_held_by_other: bool = False
    temp_margin_k: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuEvent:
    """A critical event the driver reported (Xid), with NVIDIA's number of it."""

    uuid: str
    xid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReading:
    """One sample of the server around the GPUs; NaN where nothing measures it."""

    measure_time_s: float
    it_power_w: float
    it_energy_kwh: float
    inlet_temp_c: float


class GpuDriver(Protocol):
    """GPUs of one host."""

    def open(self) -> None:
        """Connect. Raises DriverError if no device can be reached at all."""
        ...

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        ...

    def inventory(self) -> Sequence[GpuInfo]:
        """Return the GPUs in index order."""
        ...

    def read_gpu(self, uuid: str) -> GpuReading:
        """Sample one GPU. Raises DeviceLost."""
        ...

    def read_node(self) -> NodeReading:
        """Sample the server."""
        ...

    def set_power_limit(self, uuid: str, *, power_limit_w: float) -> None:
        """Request a power limit. Raises DeviceLost, NotPermitted, ValueRefused."""
        ...

    def set_sm_clock_max(self, uuid: str, *, sm_clock_max_mhz: float) -> None:
        """Give the SM clock a ceiling; the device's highest clock takes it away.

        Raises DeviceLost, NotPermitted, NotCommandable, ValueRefused.
        """
        ...

    def take_events(self) -> Sequence[GpuEvent]:
        """Return the critical events since the last call; never waits for a device."""
        ...

    def rights(self) -> Mapping[str, object]:
        """Return what allows or keeps this process from commanding GPUs, for people.

        ``missing`` says in words what is missing, empty if nothing is; ``foreign_managers`` lists
        programs seen on this host that may set limits, too.
        """
        ...

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Note that a command answering telemetry of that site time was carried out.

        Simulated hardware keeps in step by it; real drivers do nothing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverInfo:
    """A lever of the plant as its device offers it. ``name`` is one of ``PLANT_LEVERS``."""

    name: str
    unit: str
    low: float
    high: float
    read_only_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReading:
    """One sample of one signal of ``PLANT_SIGNALS``; ``origin`` names the device or point.

    ``problem`` says for people why ``value`` is NaN: bad quality, no answer, out of service.
    ``rollover`` is what a counter goes up to before it starts at 0 again, NaN if it does not.
    """

    signal: str
    value: float
    measure_time_s: float
    origin: str
    problem: str = ""
    rollover: float = float("nan")


class Holder(StrEnum):
    """Who decides what a lever is set to."""

    LOCAL = "local"
    """The equipment's own program."""
    OURS = "ours"
    """This driver's last command."""
    OTHER = "other"
    """A person or another system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverReading:
    """What a lever is set to, by whom, and for people why it is not ours.

    ``local_value`` is what would be in force if our value were taken away; None where only the
    equipment knows.
    """

    lever: str
    value: float
    holder: Holder
    message: str = ""
    local_value: float | None = None


class CoolingDriver(Protocol):
    """Cooling equipment, meters and weather of one hall."""

    def open(self) -> None:
        """Connect. Raises DriverError if nothing can be reached."""
        ...

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        ...

    def levers(self) -> Sequence[LeverInfo]:
        """Return the levers of this plant."""
        ...

    def read(self) -> Sequence[SignalReading]:
        """Sample all signals."""
        ...

    def read_setpoint(self, lever: str) -> float:
        """Return the value in force, NaN if it cannot be told. Raises DeviceLost."""
        ...

    def read_lever(self, lever: str) -> LeverReading:
        """Return the value in force and who decides it. Raises DeviceLost."""
        ...

    def set_setpoint(self, lever: str, *, value: float) -> None:
        """Command a value. Raises DeviceLost, NotPermitted, ValueRefused, Overridden."""
        ...

    def adopt(self, lever: str, *, before: float) -> None:
        """Note that an earlier process wrote this lever, and what stood there before it did.

        A lever without a slot of its own can then be released although this process never wrote.
        """
        ...

    def release(self, lever: str) -> None:
        """Give the lever back to the equipment's own program, as far as it is ours.

        Idempotent; never takes away what somebody else set. Raises DeviceLost, NotPermitted.
        """
        ...

    def acknowledge(self, *, answers_time_s: float) -> None:
        """Note that a command answering telemetry of that site time was carried out."""
        ...
