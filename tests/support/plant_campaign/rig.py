"""One plant agent in a process of its own, its device, the bad network between, a controller."""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio

from coolcap_agent import certs
from coolcap_agent.plant_simulators.__main__ import simulator_of
from coolcap_agent.plant_simulators.hall import SimulatedLever
from coolcap_agent.plant_simulators.simulator import Simulator
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import load_tls
from coolcap_proto.v1 import common_pb2, plant_agent_pb2, plant_agent_pb2_grpc
from support.daemons import free_port, wait_for
from support.plant_campaign.hall import SIGNALS, CampaignHall
from support.plant_campaign.proxy import Proxy, free_udp_port

SUPPLY, CHW, FLOW, CDU = (
    "supply_air_temp_setpoint_c",
    "chw_supply_temp_setpoint_c",
    "air_flow_setpoint_ratio",
    "cdu_supply_temp_setpoint_c",
)
LEVERS = (
    SimulatedLever(lever=SUPPLY, low=10.0, high=32.0, default=20.0),
    SimulatedLever(lever=CHW, low=6.0, high=20.0, default=10.0),
    SimulatedLever(lever=FLOW, low=0.3, high=1.0, default=0.8),
    SimulatedLever(lever=CDU, low=18.0, high=45.0, default=30.0),
)
"""What the device takes."""
OWN_LIMITS = {
    SUPPLY: (16.0, 26.0),
    CHW: (8.0, 14.0),
    FLOW: (0.5, 1.0),
    CDU: (20.0, 36.0),
}
"""What the agent may write: narrower, so that the agent's limits and not the device's are seen."""
RATE_PER_S = {SUPPLY: 1.6, CHW: 1.6, FLOW: 0.16, CDU: 1.6}
STEP_SPAN_MAX_S = 1.0
SAMPLE_S = 0.2
TTL_S = 1.5
HAND_BACK_MAX_S = 20.0
INLET_HIGH_C = 36.0
UNKNOWN_MAX_S = 1.5
WELL_S = 1.0
PATIENCE_S = 30.0

CONFIG = """
plant_id = "plant"
state_dir = "state"
sample_period_s = {sample_s}
signal_age_max_s = 5.0
device_deadline_s = 5.0
hand_back_max_s = {hand_back_max_s}
[server]
listen = "{listen}"
certificate_file = "{files.certificate}"
key_file = "{files.key}"
ca_file = "{files.ca}"
[lease]
ttl_default_s = {ttl_s}
ttl_max_s = {ttl_s}
[fallback]
well_s = {well_s}
per_day_max = 1000
[trust]
recovery_s = 1.0
[trust.signals.inlet_temp_max_c]
rate_max_per_min = 600.0
stuck_max_s = 1.0
stuck_span = 0.001
neighbour_max = 2.0
[trust.signals.supply_air_temp_c]
rate_max_per_min = 6000.0
[driver]
name = "{protocol}"
[driver.{protocol}]
points = "points.toml"
command_deadline_s = 3.0
{options}
[limits]
step_span_max_s = {span_s}
[limits.inlet]
high_c = {inlet_high_c}
change_15min_max_k = 45.0
change_60min_max_k = 45.0
unknown_max_s = {unknown_max_s}
{limits}
"""


@dataclass
class Rig:
    """What a scenario plays with."""

    protocol: str
    folder: Path
    pki: certs.Pki
    hall: CampaignHall
    device: Simulator
    proxy: Proxy
    address: Address
    limits: dict[str, tuple[float, float]]
    clock_shim: Path | None = None
    foreign: dict[str, float] = field(default_factory=dict)
    """Values other people hold, which must be in force at the end."""
    strangers: list[float] = field(default_factory=list)
    """Values other people put in our place, which are theirs."""
    excused: list[tuple[float, float]] = field(default_factory=list)
    """Times at which the device itself goes back to its own program."""
    seed: int = 0
    process: subprocess.Popen[bytes] | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    applied_count: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "plant.toml"

    @property
    def log(self) -> Path:
        return self.folder / "plant.log"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def write_config(self) -> None:
        """Write the agent's config with the limits as they are now."""
        options = ""
        if self.protocol == "bacnet":
            # Fixed with the rig: a restarted agent must find its port again.
            options = (
                f'interface = "127.0.0.1:{self._bacnet_port()}"\ndevice_instance = 4000\n'
                "apdu_timeout_s = 0.15\napdu_retries = 6\n"
            )
        limits = "".join(
            f"[limits.levers.{lever}]\nlow = {low}\nhigh = {high}\n"
            f"rise_max_per_min = {60.0 * RATE_PER_S[lever]}\n"
            f"fall_max_per_min = {60.0 * RATE_PER_S[lever]}\n"
            for lever, (low, high) in self.limits.items()
        )
        text = CONFIG.format(
            sample_s=SAMPLE_S,
            hand_back_max_s=HAND_BACK_MAX_S,
            listen=self.address,
            files=self.pki.files("plant"),
            ttl_s=TTL_S,
            well_s=WELL_S,
            protocol=self.protocol,
            options=options,
            span_s=STEP_SPAN_MAX_S,
            inlet_high_c=INLET_HIGH_C,
            unknown_max_s=UNKNOWN_MAX_S,
            limits=limits,
        )
        self.config.write_text(text, encoding="utf-8")

    def _bacnet_port(self) -> int:
        if not self.config.exists():
            return free_udp_port()
        found = re.search(r'interface = "127\.0\.0\.1:(\d+)"', self.config.read_text())
        assert found is not None
        return int(found.group(1))

    # The agent

    def start_agent(self) -> None:
        """Start the process and wait until it serves."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GRPC_VERBOSITY": "NONE"}
        if self.clock_shim is not None:
            environment["LD_PRELOAD"] = str(self.clock_shim)
            environment["COOLCAP_CLOCK_FILE"] = str(self.folder / "clock")
        command = [sys.executable, "-m", "coolcap_agent", "plant", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        served = self.said("serves on")
        wait_for(
            lambda: self.said("serves on") > served or self._has_ended(),
            f"the plant agent does not serve; its log is {self.log}",
            patience_s=PATIENCE_S,
        )
        if self._has_ended():
            raise AssertionError(f"the plant agent ended: {self.log.read_text()}")

    def _has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send the agent a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill_agent(self) -> None:
        """End it without a chance to do anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def said(self, text: str) -> int:
        """Return how often the agent's log says something."""
        return self.log.read_text(errors="replace").count(text) if self.log.exists() else 0

    # The controller

    def start_controller(self) -> None:
        """Command all levers at random, inside and outside of what is allowed, until stopped."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._control()), daemon=True)
        self._thread.start()

    def stop_controller(self) -> None:
        """Vanish without a word."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
            self._thread = None

    async def _control(self) -> None:
        tls = load_tls(self.pki.files("control"), usages=(Usage.CLIENT,))
        channel = open_channel(self.address, server_name="plant", tls=tls)
        client = plant_agent_pb2_grpc.PlantAgentStub(channel)
        player = random.Random(self.seed)
        sequence = 0
        targets: dict[str, float] = {}
        lease: common_pb2.Lease | None = None
        while not self._stop.is_set():
            if sequence % 8 == 0:
                targets = {one.lever: player.choice(_TARGETS)(player, one) for one in LEVERS}
            sequence += 1
            setpoints = [
                plant_agent_pb2.Setpoint(lever=lever, value=value)
                for lever, value in targets.items()
            ]
            try:
                if lease is None:
                    lease = await client.AcquireLease(
                        common_pb2.AcquireLeaseRequest(holder="control", instance_id="1"), timeout=1
                    )
                renewal = asyncio.create_task(self._renew(client, lease))
                try:
                    answer = await client.SetSetpoints(
                        plant_agent_pb2.SetSetpointsRequest(
                            lease_id=lease.lease_id,
                            epoch=lease.epoch,
                            sequence=sequence,
                            setpoints=setpoints,
                        ),
                        timeout=5,
                    )
                finally:
                    renewal.cancel()
                done = (common_pb2.OUTCOME_APPLIED, common_pb2.OUTCOME_CLAMPED)
                self.applied_count += sum(r.outcome in done for r in answer.results)
            except grpc.aio.AioRpcError as error:
                self.refused.append(str(error.details()))
                lease = None
            await asyncio.sleep(0.15)
        await channel.close()

    async def _renew(
        self, client: plant_agent_pb2_grpc.PlantAgentStub, lease: common_pb2.Lease
    ) -> None:
        request = common_pb2.RenewLeaseRequest(lease_id=lease.lease_id, epoch=lease.epoch)
        while True:
            try:
                await client.RenewLease(request, timeout=1)
            except grpc.aio.AioRpcError:
                return
            await asyncio.sleep(0.3)

    def telemetry(self) -> plant_agent_pb2.PlantTelemetry:
        """Ask the agent for its newest reading."""

        async def ask() -> plant_agent_pb2.PlantTelemetry:
            tls = load_tls(self.pki.files("control"), usages=(Usage.CLIENT,))
            channel = open_channel(self.address, server_name="plant", tls=tls)
            try:
                return await plant_agent_pb2_grpc.PlantAgentStub(channel).GetTelemetry(
                    common_pb2.GetTelemetryRequest(), timeout=5
                )
            finally:
                await channel.close()

        return asyncio.run(ask())

    def wait_for_state(self, state: plant_agent_pb2.PlantState.ValueType) -> None:
        """Wait until the agent says it is in a state."""
        name = plant_agent_pb2.PlantState.Name(state)
        wait_for(
            lambda: self.telemetry().plant_state == state,
            f"the agent does not come to {name}",
            patience_s=PATIENCE_S,
        )

    # The device

    def excuse(self, seconds: float = 0.0) -> None:
        """Note that from now on, for some time, the device goes its own way."""
        now_s = time.monotonic()
        self.excused.append((now_s, now_s + seconds))

    def is_back(self) -> bool:
        """Return whether every lever follows the local program, or whoever else took it."""
        wanted = {one.lever: one.default for one in LEVERS} | self.foreign
        at_home = all(abs(self.hall.now[lever] - value) < 1e-3 for lever, value in wanted.items())
        return at_home and not (self.state / "journal.json").exists()


_TARGETS: Sequence[Callable[[random.Random, SimulatedLever], float]] = (
    lambda _player, one: one.low,
    lambda _player, one: one.high,
    lambda player, one: player.uniform(*OWN_LIMITS[one.lever]),
    lambda player, one: player.uniform(one.low - 1.0, one.high + 1.0),
)
"""What a controller may ask for: the ends of what the device takes, the allowed, anything."""


@contextmanager
def rig(
    protocol: str, folder: Path, pki: certs.Pki, *, clock_shim: Path | None = None, seed: int = 0
) -> Iterator[Rig]:
    """Serve a device behind the proxy and write the config; the agent is not started yet."""
    folder.mkdir(parents=True)
    hall = CampaignHall(LEVERS)
    options: dict[str, float] = {}
    if protocol in ("modbus", "opcua"):
        options["heartbeat_timeout_s"] = 8.0
    make: Callable[..., Simulator] = simulator_of(protocol)
    with make(hall, levers=LEVERS, signals=SIGNALS, **options) as device:
        proxy = Proxy(protocol, device.port)
        made = Rig(
            protocol=protocol,
            folder=folder,
            pki=pki,
            hall=hall,
            device=device,
            proxy=proxy,
            address=Address(host="127.0.0.1", port=free_port()),
            limits=dict(OWN_LIMITS),
            clock_shim=clock_shim,
            seed=seed,
        )
        device.write_point_map(folder / "points.toml")
        points = (folder / "points.toml").read_text()
        points = re.sub(r"#\d", "", points)
        points = re.sub(rf"\b{device.port}\b", str(proxy.port), points)
        (folder / "points.toml").write_text(points)
        made.write_config()
        (folder / "clock").write_text("0\n")
        try:
            yield made
        finally:
            made.stop_controller()
            if made.process is not None and made.process.poll() is None:
                made.process.send_signal(signal.SIGCONT)
                made.process.kill()
                made.process.wait()
            proxy.close()
