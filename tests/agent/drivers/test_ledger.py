"""What happens between looking and writing: races that real sockets show only by chance."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import pytest

from coolcap_agent.drivers.base import DeviceLost, Holder, Overridden, ValueRefused
from coolcap_agent.drivers.ledger import Ledger
from support.memory_equipment import Cell, MemoryEquipment, lever_point

T = TypeVar("T")


def run(coroutine: Coroutine[object, object, T]) -> T:
    return asyncio.run(coroutine)


@pytest.fixture
def device() -> MemoryEquipment:
    device = MemoryEquipment()
    device.cells["sp"] = 10.0
    return device


@pytest.fixture
def ledger() -> Ledger[Cell]:
    return Ledger(lever_point())


def test_override_that_comes_between_looking_and_writing_is_reported(
    device: MemoryEquipment, ledger: Ledger[Cell]
) -> None:
    def take_over(name: str, value: float) -> None:
        device.stronger[name] = "operator holds 8"
        device.in_force[name] = 8.0

    device.after_write = take_over

    with pytest.raises(Overridden, match="written to memory sp and has no effect: operator"):
        run(ledger.write(device, 13.0, settle_s=0.1))


def test_second_writer_that_comes_between_writing_and_reading_back_is_reported(
    device: MemoryEquipment, ledger: Ledger[Cell]
) -> None:
    device.after_write = lambda name, _: device.cells.update({name: 17.0})

    with pytest.raises(ValueRefused, match="acknowledged by memory sp, but reading back gives 17"):
        run(ledger.write(device, 13.0, settle_s=0.1))

    with pytest.raises(Overridden, match="another writer"):
        run(ledger.write(device, 14.0, settle_s=0.1))


def test_value_that_takes_its_time_is_waited_for(
    device: MemoryEquipment, ledger: Ledger[Cell]
) -> None:
    device.in_force["sp"] = 10.0

    async def write_and_follow_later() -> None:
        task = asyncio.create_task(ledger.write(device, 13.0, settle_s=2.0))
        await asyncio.sleep(0.07)
        device.in_force["sp"] = 13.0
        await task

    run(write_and_follow_later())


def test_refused_first_command_leaves_nothing_to_give_back(
    device: MemoryEquipment, ledger: Ledger[Cell]
) -> None:
    """What stood there is still ours to restore, not another writer's."""
    device.after_write = lambda name, _: device.cells.update({name: 10.0})
    with pytest.raises(ValueRefused):
        run(ledger.write(device, 13.0, settle_s=0.1))
    device.after_write = lambda _name, _value: None

    run(ledger.write(device, 14.0, settle_s=0.1))
    left = run(ledger.give_back(device))

    assert (left, device.cells["sp"]) == ("", 10.0)


def test_write_without_an_answer_that_took_effect_is_ours(
    device: MemoryEquipment, ledger: Ledger[Cell]
) -> None:
    def die(_name: str, _value: float) -> None:
        device.lost = True

    device.after_write = die
    with pytest.raises(DeviceLost):
        run(ledger.write(device, 13.0, settle_s=0.1))
    device.lost, device.after_write = False, lambda _name, _value: None

    assert run(ledger.read(device)).holder is Holder.OURS
    run(ledger.give_back(device))
    assert device.cells["sp"] == 10.0


def test_two_commands_at_once_are_carried_out_one_after_the_other(
    device: MemoryEquipment, ledger: Ledger[Cell]
) -> None:
    async def both() -> None:
        await asyncio.gather(
            ledger.write(device, 13.0, settle_s=0.1), ledger.write(device, 14.0, settle_s=0.1)
        )

    run(both())

    assert device.cells["sp"] == 14.0


def test_device_lost_while_giving_back_can_be_given_back_later(
    device: MemoryEquipment, ledger: Ledger[Cell]
) -> None:
    run(ledger.write(device, 13.0, settle_s=0.1))
    device.lost = True
    with pytest.raises(DeviceLost):
        run(ledger.give_back(device))
    device.lost = False

    run(ledger.give_back(device))

    assert device.cells["sp"] == 10.0


def test_feedback_without_an_answer_is_unknown(device: MemoryEquipment) -> None:
    ledger = Ledger(lever_point(feedback="absent"))

    reading = run(ledger.read(device))

    assert reading.value != reading.value
