"""What the server refuses, asked with the library's own client."""

import asyncio
import dataclasses
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import pytest
from asyncua import ua
from asyncua.client.client import Client

from coolcap_agent.plant_simulators.hall import FirstOrderHall
from coolcap_agent.plant_simulators.opcua_server import NAMESPACE, OpcuaServer

LEVER = "supply_air_temp_setpoint_c"


@pytest.fixture(scope="module")
def server() -> Iterator[OpcuaServer]:
    with OpcuaServer(FirstOrderHall()) as server:
        yield server


def write(server: OpcuaServer, identifier: str, data: ua.DataValue) -> str:
    """Write a value and return the name of the status, of the service or of the item."""

    async def ask() -> str:
        async with Client(server.url, timeout=2.0) as client:
            index = await client.get_namespace_index(NAMESPACE)
            node = ua.NodeId.from_string(f"ns={index};s={identifier}")
            try:
                (status,) = await client.uaclient.write_attributes([node], [data])
            except ua.UaStatusCodeError as error:
                return type(error).__name__
            return status.name

    return asyncio.run(ask())


def double(value: float) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, ua.VariantType.Double))


@pytest.mark.parametrize(
    ("identifier", "data", "status"),
    [
        (f"Setpoint.{LEVER}", double(math.nan), "BadOutOfRange"),
        (f"Setpoint.{LEVER}", double(math.inf), "BadOutOfRange"),
        (f"Setpoint.{LEVER}", double(14.9), "BadOutOfRange"),
        (
            f"Setpoint.{LEVER}",
            ua.DataValue(ua.Variant(20, ua.VariantType.Int64)),
            "BadTypeMismatch",
        ),
        (
            f"Setpoint.{LEVER}",
            dataclasses.replace(
                double(22.0), SourceTimestamp=cast("ua.DateTime", datetime.now(UTC))
            ),
            "BadWriteNotSupported",
        ),
        (f"Followed.{LEVER}", double(22.0), "BadUserAccessDenied"),
        ("Sensor.0", double(22.0), "BadUserAccessDenied"),
        ("Override", ua.DataValue(ua.Variant(True)), "BadUserAccessDenied"),
        ("Enable", ua.DataValue(ua.Variant(2, ua.VariantType.Int16)), "BadOutOfRange"),
        ("Enable", ua.DataValue(ua.Variant(True)), "BadTypeMismatch"),
    ],
)
def test_bad_write_is_refused(
    server: OpcuaServer, identifier: str, data: ua.DataValue, status: str
) -> None:
    assert write(server, identifier, data) == status
    assert server.virtual.setpoints[LEVER] == 20.0


def test_good_write_is_held(server: OpcuaServer) -> None:
    assert write(server, f"Setpoint.{LEVER}", double(22.0)) == "Good"
    assert server.virtual.setpoints[LEVER] == 22.0
    server.switch_on_again()
