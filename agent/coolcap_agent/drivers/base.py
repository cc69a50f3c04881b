"""What a driver must do. Simulated and real hardware implement the same protocols.

Calls may block; daemons make them in worker threads with a deadline. Units are the house's
(W, °C, kWh, MHz, ratios); only drivers convert.

::

    DriverError
    ├── DeviceLost        the device does not answer any more; leave it alone until it is back
    ├── NotPermitted      the driver lacks a right; stay read-only and say which right
    └── ValueRefused      the device does not accept this value; do not retry with it
        └── Overridden    a person or another system decides; do not fight it, leave the lever alone
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coolcap_envs.contract.errors import CoolcapError


class DriverError(CoolcapError):
    """A device could not do what was asked; says what was asked of which device."""


class DeviceLost(DriverError):  # noqa: N818 - reads as the event it reports
    """The device does not answer any more."""


class NotPermitted(DriverError):  # noqa: N818 - reads as the event it reports
    """The process lacks a right the device demands."""


class ValueRefused(DriverError):  # noqa: N818 - reads as the event it reports
    """The device does not accept the value."""


class Overridden(ValueRefused):
    """A person or another system decides about the lever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuInfo:
    """What does not change about a GPU. ``read_only_reason`` is empty when caps can be set."""

    uuid: str
    index: int
    model: str
    power_limit_min_w: float
    power_limit_max_w: float
    power_limit_default_w: float
    sm_clock_max_mhz: float
    read_only_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One sample of one GPU; NaN where the device does not say.

    ``power_w`` is ΔE/Δt where the device counts energy. ``work_rate_ratio`` is relative to the
    uncapped device; ``work_gpu_h`` counts reference GPU-hours. ``workload_class`` is one of
    ``training``, ``prefill``, ``decode``, ``memory_bound`` or empty when unknown.
    ``clocks_event_reasons`` holds NVML's names in lower case, e.g. ``sw_power_cap``.
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
    """

    signal: str
    value: float
    measure_time_s: float
    origin: str
    problem: str = ""


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
    """What a lever is set to, by whom, and for people why it is not ours."""

    lever: str
    value: float
    holder: Holder
    message: str = ""


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
