"""A control point: one lever of one device, with everything an agent must know to write it.

A GPU's power cap and a plant's setpoint differ in names and units only. What may be written, how a
write is verified and how it is put back is the same for both and stands here once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.worker import TimedOut, Unreachable, WorkerError
from coolcap_agent.drivers.base import (
    DeviceLost,
    DriverError,
    NotCommandable,
    NotPermitted,
    Overridden,
    ValueRefused,
)
from coolcap_agent.journal import Entry, Key


class LeaseOver(WorkerError):  # noqa: N818 - reads as the event it reports
    """The lease ended before the write was begun; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What a device says after asking it; NaN where it does not.

    ``requested`` is what was last asked of it, ``effective`` what it follows. ``local``: its own
    control decides. ``overridden`` says who holds it against us, empty if nobody. ``local_value``
    is what would be in force if our value were taken away.
    """

    requested: float
    effective: float
    local: bool = False
    overridden: str = ""
    local_value: float = math.nan

    @property
    def value(self) -> float:
        """Return what is in force, as far as it can be told."""
        return self.requested if math.isfinite(self.requested) else self.effective

    def entry(self, key: Key) -> Entry:
        """Return the journal's entry of a point in this state."""
        value = self.value if math.isfinite(self.value) else None
        return Entry(device=key[0], lever=key[1], value=value, local=self.local)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is fixed about a point while the agent runs.

    Attributes:
        key: Device and lever, as in the journal.
        name: What messages call a value of it, with ``{}`` for the amount.
        unit: Unit of all values; empty for ratios.
        digits: Decimals in messages.
        device_low: Lowest value the device takes.
        device_high: Highest value the device takes.
        low: Lowest value the agent writes.
        high: Highest value the agent writes.
        limits_origin: Where ``low`` and ``high`` come from, for messages.
        rise_max_per_s: Fastest rise, infinite if not limited.
        fall_max_per_s: Fastest fall, infinite if not limited.
        slew_span_max_s: Time without a write that a single step may make up for, at most.
        tolerance: Read-back within this of the written value counts as it.
        refusal: Why the agent never writes this point, empty if it does.
        refusal_outcome: The outcome that goes with ``refusal``.
        default: What to restore when the journal was damaged; None: nothing.
        releases: Whether the device has a control of its own to give the point back to, which
            happens as well when the journal was damaged.
        reapply: Whether a value somebody else changed is written again under a live lease.
        yields: Whether it is left to them instead, for as long as the lease lasts. Neither: it is
            reported, and the next command writes again.
        blind: Whether the device does not tell what is in force, so that it is inferred and may be
            wrong: going back is then written without looking.
    """

    key: Key
    name: str
    unit: str
    digits: int
    device_low: float
    device_high: float
    low: float
    high: float
    limits_origin: str
    rise_max_per_s: float
    fall_max_per_s: float
    slew_span_max_s: float
    tolerance: float
    refusal: str
    refusal_outcome: Outcome
    default: float | None
    releases: bool
    reapply: bool
    yields: bool = False
    blind: bool = False

    def amount(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{value:.{self.digits}f} {self.unit}".rstrip()

    def say(self, value: float) -> str:
        """Return a value with its unit and what it is of."""
        return self.name.format(self.amount(value))

    def device_range(self) -> str:
        """Return what the device takes and how that is known."""
        span = f"{self.device_low:.{self.digits}f} to {self.amount(self.device_high)}"
        return f"{span} (limits read from the device)"

    def same(self, left: float, right: float) -> bool:
        """Return whether two values are one for this device; NaN is never."""
        return abs(left - right) <= self.tolerance

    def unchanged(self, left: float, right: float) -> bool:
        """Return whether writing one over the other is not worth it; NaN always is."""
        return abs(left - right) <= 0.01 * self.tolerance


class Point(Protocol):
    """One control point of a driver, called through a worker with a deadline."""

    @property
    def spec(self) -> Spec:
        """Return what is fixed about it."""
        ...

    async def read(self) -> InForce:
        """Ask the device. Raises DriverError, WorkerError."""
        ...

    async def write(self, value: float, *, allowed: Callable[[], bool]) -> InForce:
        """Write and read back in one go.

        Args:
            value: What to write.
            allowed: Asked right before the write, in the device's thread.

        Raises:
            LeaseOver: If ``allowed`` said no; nothing was written.
            DriverError: If the device refuses.
            WorkerError: If it does not answer.
        """
        ...

    async def adopt(self, entry: Entry) -> None:
        """Note that an earlier process wrote the point. Raises DriverError, WorkerError."""
        ...

    async def release(self) -> None:
        """Give the point back to the device's own control. Raises DriverError, WorkerError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrained:
    """A value that may be written at this moment, why it differs, or why none may be."""

    value: float
    why: str = ""
    refusal: str = ""


class Restraint(Protocol):
    """What keeps a value from being written at this moment, beside range and slew."""

    def restrain(self, spec: Spec, *, value: float, start: float, held: bool) -> Restrained:
        """Return the nearest value that may be written now.

        Args:
            spec: The point.
            value: Within range and slew.
            start: Value in force, NaN if not known.
            held: Whether ``start`` was written under the live lease.
        """
        ...


class Unrestrained:
    """Nothing does."""

    def restrain(self, spec: Spec, *, value: float, start: float, held: bool) -> Restrained:
        """Return the value."""
        del spec, start, held
        return Restrained(value=value)


class WriteTimes:
    """When each point was written last, and since when it is on its way back.

    Args:
        now_s: Site time where it is simulated, else the monotonic clock: setting the host's clock
            must neither stop a ramp nor allow a leap.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._times_s: dict[Key, float] = {}
        self._ramps_s: dict[Key, float] = {}

    def note(self, key: Key, *, on_its_way_back: bool = False) -> None:
        """Note that a point was written now."""
        self._times_s[key] = self._now_s()
        if not on_its_way_back:
            self._ramps_s.pop(key, None)

    def span_s(self, key: Key) -> float:
        """Return the time since the last write, infinite before the first."""
        return self._now_s() - self._times_s.get(key, -math.inf)

    def ramp_s(self, key: Key) -> float:
        """Return for how long a point has been on its way back; the first call begins it."""
        now_s = self._now_s()
        return now_s - self._ramps_s.setdefault(key, now_s)


def step_towards(
    spec: Spec, *, target: float, start: float, span_s: float, restoring: bool = False
) -> tuple[float, str]:
    """Return the value nearest to ``target`` that may be written now, and what held it back.

    Args:
        spec: The point.
        target: Value asked for.
        start: Value in force, NaN if not known (then the slew says nothing).
        span_s: Time since the last write.
        restoring: Whether ``target`` was in force before us: own limits then do not apply.
    """
    value, why = target, ""
    if not restoring and not spec.low <= target <= spec.high:
        value = min(max(target, spec.low), spec.high)
        allowed = f"{spec.low:.{spec.digits}f} to {spec.amount(spec.high)}"
        why = f"{spec.say(target)} is outside {allowed} ({spec.limits_origin})"
    span_s = min(max(span_s, 0.0), spec.slew_span_max_s)
    top = start + spec.rise_max_per_s * span_s if math.isfinite(spec.rise_max_per_s) else math.inf
    bottom = (
        start - spec.fall_max_per_s * span_s if math.isfinite(spec.fall_max_per_s) else -math.inf
    )
    slewed = max(min(value, top), bottom) if math.isfinite(start) else value
    if abs(slewed - value) <= 1e-9 * max(1.0, abs(value)):
        return value, why
    rate = spec.rise_max_per_s if slewed < value else spec.fall_max_per_s
    why = (
        f"{spec.say(target)} is further from {spec.amount(start)} than {span_s:.0f} s allow at "
        f"{rate * 60.0:g} {spec.unit}/min ({spec.limits_origin})"
    )
    return slewed, why


def failure_outcome(error: DriverError | WorkerError) -> Outcome:
    """Return what became of a write that raised ``error``."""
    match error:
        case TimedOut():
            return Outcome.TIMED_OUT
        case LeaseOver() | Unreachable() | DeviceLost():
            return Outcome.DEVICE_UNREACHABLE
        case Overridden():
            return Outcome.OVERRIDDEN
        case NotPermitted():
            return Outcome.READ_ONLY
        case NotCommandable():
            return Outcome.REFUSED_NOT_COMMANDABLE
        case ValueRefused():
            return Outcome.REFUSED_OUT_OF_RANGE
        case _:
            return Outcome.DEVICE_ERROR


def verification_problem(spec: Spec, *, written: float, after: InForce) -> str:
    """Say how a read-back contradicts what was written, empty if it does not.

    An effective value below the requested one is somebody else's stricter limit, not a failure.
    """
    if not spec.same(after.requested, written):
        return (
            f"{spec.say(written)} was accepted, but the device reports "
            f"{spec.amount(after.requested)} as requested; treat it as not done"
        )
    if after.effective > written + spec.tolerance:
        return (
            f"{spec.say(written)} was accepted, but the device follows "
            f"{spec.amount(after.effective)}; treat it as not done"
        )
    return ""
