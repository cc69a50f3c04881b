"""A simulated device, served from a thread of its own and switched off and on at will."""

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from coolcap_agent.drivers.loop_thread import LoopThread
from coolcap_agent.plant_simulators.hall import LEVERS, SIGNALS, Hall, SimulatedLever

DEADLINE_S: Final = 120.0
"""For starting and stopping; building an OPC UA server takes seconds, many on a busy machine."""


class Simulator(ABC):
    """One device in front of a hall.

    Attributes:
        hall: What the device measures and moves.
        levers: What it offers to be set.
        signals: What it measures, in the order of its points; a signal may occur more than once.
        host: Address it serves.
        port: Port it serves.
    """

    protocol: str

    def __init__(
        self,
        hall: Hall,
        *,
        levers: Sequence[SimulatedLever] = LEVERS,
        signals: Sequence[str] = SIGNALS,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Describe the device; :meth:`start` serves it. Port 0 picks a free one, kept from then."""
        self.hall = hall
        self.levers = tuple(levers)
        self.signals = tuple(signals)
        self.host = host
        self.port = port or self._free_port(host)
        self._thread: LoopThread | None = None
        self._serving = False

    def start(self) -> None:
        """Serve, with everything as after switching on; does nothing while serving."""
        if self._serving:
            return
        if self._thread is None:
            self._thread = LoopThread(f"{self.protocol}-simulator")
        try:
            self._thread.call(self._serve(), deadline_s=DEADLINE_S, of="starting the simulator")
        except BaseException:
            self.close()
            raise
        self._serving = True

    def stop(self) -> None:
        """Stop serving, as if switched off; safe to call twice."""
        self._serving = False
        if self._thread is not None:
            self._thread.call(self._end(), deadline_s=DEADLINE_S, of="stopping the simulator")

    def close(self) -> None:
        """Stop for good; safe to call twice."""
        if self._thread is None:
            return
        try:
            self.stop()
        finally:
            self._thread.close()
            self._thread = None

    def restart(self) -> None:
        """Switch off and on: commands are forgotten, the local program decides again."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop for good."""
        self.close()

    def write_point_map(self, path: Path) -> None:
        """Write the files the point map names, then the point map itself, in one piece."""
        for name, text in self.secrets.items():
            file = path.parent / name
            file.touch(mode=0o600)
            file.write_text(text, encoding="utf-8")
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_text(self.point_map(), encoding="utf-8")
        beside.replace(path)

    @property
    def secrets(self) -> Mapping[str, str]:
        """Return files the point map names, by name; none for most protocols."""
        return {}

    @abstractmethod
    def point_map(self) -> str:
        """Return the point map that fits this device, as TOML."""

    @abstractmethod
    async def _serve(self) -> None:
        """Reset the device and begin to serve."""

    @abstractmethod
    async def _end(self) -> None:
        """Close every socket; also when not serving."""

    @property
    def _running(self) -> LoopThread:
        if self._thread is None:
            raise RuntimeError("the simulator is not running: call start() first")
        return self._thread

    def _free_port(self, host: str) -> int:
        """Return a port nobody uses now."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])

    def _local_program(self) -> None:
        """Let the hall follow the device's own setpoints."""
        for lever in self.levers:
            self.hall.write(lever.lever, lever.default)
