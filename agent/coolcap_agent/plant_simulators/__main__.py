"""Serve one simulated device: ``python -m coolcap_agent.plant_simulators bacnet --points p.toml``.

With ``--hall`` the shared hall of a running simulation stands behind it, without it a small hall of
its own. The point map that fits the device is written for the plant agent; a Redfish service's
password stands beside it.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from coolcap_agent.drivers.simulated import SimulatedCoolingDriver
from coolcap_agent.plant_simulators.hall import (
    LEVERS,
    SIGNALS,
    DriverHall,
    FirstOrderHall,
    Hall,
    SimulatedLever,
    levers_of,
    signals_of,
)
from coolcap_agent.plant_simulators.simulator import Simulator
from coolcap_agent.sim.hall_file import open_hall

PROTOCOLS = ("bacnet", "modbus", "opcua", "redfish")


def simulator_of(protocol: str) -> Callable[..., Simulator]:
    """Return the simulator's class; only its own protocol library is loaded."""
    if protocol == "bacnet":
        from coolcap_agent.plant_simulators.bacnet_device import BacnetDevice

        return BacnetDevice
    if protocol == "modbus":
        from coolcap_agent.plant_simulators.modbus_plc import ModbusPlc

        return ModbusPlc
    if protocol == "opcua":
        from coolcap_agent.plant_simulators.opcua_server import OpcuaServer

        return OpcuaServer
    from coolcap_agent.plant_simulators.redfish_cdu import RedfishCdu

    return RedfishCdu


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m coolcap_agent.plant_simulators")
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("--host", default="127.0.0.1", help="address to serve")
    parser.add_argument("--port", type=int, default=0, help="port to serve; default a free one")
    parser.add_argument("--points", type=Path, required=True, help="where to write the point map")
    parser.add_argument("--hall", type=Path, help="shared hall of a running simulation")
    parser.add_argument(
        "--sensor-count", type=int, default=0, help="pad with hall inlets to this many sensors"
    )
    asked = parser.parse_args(arguments)
    hall, levers, signals = _hall(asked.hall)
    padding = ["inlet_temp_max_c"] * max(0, asked.sensor_count - len(signals))
    device = simulator_of(asked.protocol)(
        hall, levers=levers, signals=[*signals, *padding], host=asked.host, port=asked.port
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with device:
        device.write_point_map(asked.points)
        sys.stdout.write(f"serving {device.protocol} on {device.host}:{device.port}\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _hall(path: Path | None) -> tuple[Hall, Sequence[SimulatedLever], Sequence[str]]:
    if path is None:
        return FirstOrderHall(), LEVERS, SIGNALS
    driver = SimulatedCoolingDriver(path)
    driver.open()
    shared = open_hall(path, writable=False)
    hall = DriverHall(driver, frame=lambda: shared.published)
    return hall, levers_of(driver), signals_of(driver)


if __name__ == "__main__":
    sys.exit(main())
