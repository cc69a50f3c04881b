"""What the PLC refuses, asked over a raw socket, without the library the driver uses."""

import math
import socket
import struct
from collections.abc import Iterator

import pytest

from coolcap_agent.plant_simulators.hall import FirstOrderHall
from coolcap_agent.plant_simulators.modbus_plc import (
    ENABLE,
    FOLLOWED,
    HEARTBEAT,
    IDENTITY,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    SETPOINTS,
    TARGET_FAILED,
    ModbusPlc,
)

LEVER = "supply_air_temp_setpoint_c"  # the first


@pytest.fixture(scope="module")
def plc() -> Iterator[ModbusPlc]:
    with ModbusPlc(FirstOrderHall()) as plc:
        yield plc


@pytest.fixture
def line(plc: ModbusPlc) -> Iterator[socket.socket]:
    with socket.create_connection((plc.host, plc.port), timeout=2.0) as line:
        yield line


def frame(body: bytes, *, transaction: int = 1, unit: int = 1) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body


def receive(line: socket.socket) -> tuple[int, bytes]:
    head = line.recv(7, socket.MSG_WAITALL)
    transaction, _, length, _ = struct.unpack(">HHHB", head)
    return transaction, line.recv(length - 1, socket.MSG_WAITALL)


def ask(line: socket.socket, body: bytes, *, unit: int = 1) -> bytes:
    line.sendall(frame(body, unit=unit))
    return receive(line)[1]


def write_floats(register: int, *values: float) -> bytes:
    data = struct.pack(f">{len(values)}f", *values)
    return struct.pack(">BHHB", 16, register, 2 * len(values), len(data)) + data


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (write_floats(SETPOINTS, math.nan), ILLEGAL_VALUE),
        (write_floats(SETPOINTS, math.inf), ILLEGAL_VALUE),
        (write_floats(SETPOINTS, 14.9), ILLEGAL_VALUE),
        (write_floats(SETPOINTS, 30.1), ILLEGAL_VALUE),
        (write_floats(SETPOINTS, 20.0, 99.0), ILLEGAL_VALUE),
        (write_floats(SETPOINTS + 1, 20.0), ILLEGAL_VALUE),
        (struct.pack(">BHH", 6, SETPOINTS, 0x41A0), ILLEGAL_VALUE),
        (write_floats(FOLLOWED, 20.0), ILLEGAL_ADDRESS),
        (write_floats(102, 20.0), ILLEGAL_ADDRESS),
        (struct.pack(">BHH", 6, 0, 1), ILLEGAL_ADDRESS),
        (struct.pack(">BHH", 6, ENABLE, 2), ILLEGAL_VALUE),
        (struct.pack(">BHH", 3, 0, 126), ILLEGAL_VALUE),
        (struct.pack(">BHH", 3, 900, 1), ILLEGAL_ADDRESS),
        (struct.pack(">BHH", 1, 0, 1), ILLEGAL_FUNCTION),
    ],
)
def test_bad_request_is_refused_as_a_whole(
    plc: ModbusPlc, line: socket.socket, body: bytes, code: int
) -> None:
    answer = ask(line, body)

    assert answer == bytes([body[0] | 0x80, code])
    assert plc.virtual.setpoints[LEVER] == 20.0


def test_other_unit_does_not_answer_behind_the_gateway(line: socket.socket) -> None:
    assert ask(line, struct.pack(">BHH", 3, 0, 1), unit=2)[1] == TARGET_FAILED


def test_requests_sent_at_once_are_answered_with_their_own_numbers(line: socket.socket) -> None:
    """A server that mixes them up gives one reading the value of another."""
    line.sendall(
        frame(struct.pack(">BHH", 3, 0, 1), transaction=7)
        + frame(struct.pack(">BHH", 3, ENABLE, 1), transaction=8)
    )

    assert receive(line) == (7, struct.pack(">BBH", 3, 2, IDENTITY))
    assert receive(line) == (8, struct.pack(">BBH", 3, 2, 0))


def test_setpoint_is_held_and_followed_only_under_the_handshake(
    plc: ModbusPlc, line: socket.socket
) -> None:
    ask(line, write_floats(SETPOINTS, 25.0))
    followed_at_first = plc.virtual.followed[LEVER]
    ask(line, struct.pack(">BHH", 6, HEARTBEAT, 1))
    ask(line, struct.pack(">BHH", 6, ENABLE, 1))
    followed_then = plc.virtual.followed[LEVER]
    ask(line, struct.pack(">BHH", 6, ENABLE, 0))
    ask(line, write_floats(SETPOINTS, 20.0))

    assert (followed_at_first, followed_then) == (20.0, 25.0)
    assert plc.virtual.followed[LEVER] == 20.0
