"""The plant of a demonstration behind a field protocol: a simulated device in front of the hall."""

import socket
from pathlib import Path
from typing import Final

from coolcap_agent.demo.processes import Processes

SIMULATED: Final = "simulated"
PROTOCOLS: Final = (SIMULATED, "bacnet", "modbus", "redfish", "opcua")
"""Ways the plant agent reaches the hall; the first is directly."""
DEVICE: Final = "device"
POINTS: Final = "points.toml"
DEVICE_TIMEOUT_S: Final = 60.0
"""An OPC UA server takes seconds to build."""


def driver_lines(protocol: str) -> str:
    """Return ``[driver]`` of a plant agent, without the simulated driver's own."""
    lines = f'\n[driver]\nname = "{protocol}"\n\n[driver.{protocol}]\npoints = "{POINTS}"\n'
    if protocol == "bacnet":
        lines += f'interface = "127.0.0.1:{_free_udp_port()}"\ndevice_instance = 4000\n'
    return lines


def start_device(processes: Processes, *, protocol: str, hall: Path) -> None:
    """Serve the hall's plant over a protocol and wait for its point map; nothing if simulated.

    Raises:
        DemoError: If the device does not serve in time.
    """
    if protocol == SIMULATED:
        return
    points = hall.parent / POINTS
    points.unlink(missing_ok=True)
    processes.start(
        DEVICE,
        protocol,
        *("--hall", str(hall), "--points", str(points)),
        module="coolcap_agent.plant_simulators",
    )
    processes.wait_for(f"serving {protocol}", points.exists, timeout_s=DEVICE_TIMEOUT_S)


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
