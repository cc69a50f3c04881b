"""Try an open cooling driver's levers without moving the plant, before anybody relies on them.

Each lever is commanded to the value it already has, read back, and given back. What cannot be taken
back, is held by somebody, or does not do as told is found here and not in operation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coolcap_agent.drivers.base import CoolingDriver, DriverError, Holder, LeverInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverProbe:
    """What became of one lever.

    Attributes:
        lever: Its name.
        unit: Unit of the values.
        low: Lowest value it takes.
        high: Highest value it takes.
        value: What was in force, NaN if it could not be read.
        holder: Who decided it.
        problem: Why it cannot be commanded, for people; empty if it can.
        tried: Whether it was written.
    """

    lever: str
    unit: str
    low: float
    high: float
    value: float = float("nan")
    holder: Holder = Holder.LOCAL
    problem: str = ""
    tried: bool = False


def probe_levers(driver: CoolingDriver, *, write: bool) -> Sequence[LeverProbe]:
    """Return what can be said of every lever.

    Args:
        driver: An open driver; nobody else may be commanding through it.
        write: Whether to prove it by writing the value in force; without, levers are only read.
    """
    return [_probe(driver, info, write=write) for info in driver.levers()]


def _probe(driver: CoolingDriver, info: LeverInfo, *, write: bool) -> LeverProbe:
    probe = LeverProbe(
        lever=info.name, unit=info.unit, low=info.low, high=info.high, problem=info.read_only_reason
    )
    try:
        reading = driver.read_lever(info.name)
        probe = replace(probe, value=reading.value, holder=reading.holder)
        if not probe.problem and reading.holder is Holder.OTHER:
            probe = replace(probe, problem=reading.message)
        if not probe.problem and not info.low <= reading.value <= info.high:
            text = f"in force is {reading.value:g}, outside {info.low:g} to {info.high:g}"
            probe = replace(probe, problem=f"{text} {info.unit}: widen the range or set it locally")
        if write and not probe.problem:
            probe = replace(probe, tried=True, problem=_try(driver, info.name, reading.value))
    except DriverError as error:
        return replace(probe, problem=str(error))
    return probe


def _try(driver: CoolingDriver, lever: str, value: float) -> str:
    """Command the value in force and give the lever back; return what went wrong."""
    try:
        driver.set_setpoint(lever, value=value)
        commanded = driver.read_lever(lever)
    finally:
        driver.release(lever)
    if commanded.holder is not Holder.OURS:
        return f"after a command the holder was {commanded.holder}: {commanded.message}"
    after = driver.read_lever(lever)
    if after.holder is not Holder.LOCAL:
        return f"after the release the holder was {after.holder}: {after.message}"
    return ""
