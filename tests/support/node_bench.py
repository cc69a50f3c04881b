"""``python -m support.node_bench``: what a node agent with eight GPUs costs, how fast it answers.

The agent is a process of its own with its NVML driver on simulated GPUs whose readings change ten
times a second. It samples once a second. CPU time and memory are the kernel's count of it. Latency
is the machine's as well: where others work on it, run this under ``chrt -r 10``.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from coolcap_agent import certs
from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import load_tls
from coolcap_agent.sim.faults import clear_faults, set_fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc
from support.campaign.bench import CONFIG, EIGHT_GPUS, NODE, OWN_W, free_port
from support.live_hall import running
from support.small_hall import SmallHall
from support.small_site import small_site

TTL_S = 30.0
SETTLE_S = 3.0
Stub = node_agent_pb2_grpc.NodeAgentStub


class Cost:
    """CPU time of a process over a span."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu_s, self._mono_s = self._now()

    def _now(self) -> tuple[float, float]:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK"), time.monotonic()

    def so_far(self) -> dict[str, float]:
        """Return what was used since the beginning, and the memory now."""
        cpu_s, mono_s = self._now()
        used_s, took_s = cpu_s - self._cpu_s, mono_s - self._mono_s
        status = Path(f"/proc/{self._pid}/status").read_text()
        kb = {
            line.split(":")[0]: int(line.split()[1])
            for line in status.splitlines()
            if line.startswith(("VmRSS", "VmHWM"))
        }
        return {
            "took_s": round(took_s, 1),
            "cpu_s": round(used_s, 2),
            "core_percent": round(100.0 * used_s / took_s, 3),
            "rss_mb": round(kb["VmRSS"] * 1024 / 1e6, 1),
            "rss_peak_mb": round(kb["VmHWM"] * 1024 / 1e6, 1),
        }


class Client:
    """Holds the lease and commands as a controller does."""

    def __init__(self, stub: Stub, lease: common_pb2.Lease, uuids: list[str]) -> None:
        self._stub, self.lease, self.uuids = stub, lease, uuids
        self._sequence = 0
        self._rng = random.Random(1)

    async def command(self, uuids: list[str]) -> tuple[float, list[int]]:
        """Set a new cap on each of some GPUs; return the time to the answer, and outcomes."""
        self._sequence += 1
        request = node_agent_pb2.SetPowerCapsRequest(
            lease_id=self.lease.lease_id,
            epoch=self.lease.epoch,
            sequence=self._sequence,
            power_caps=[
                node_agent_pb2.PowerCap(gpu_uuid=uuid, power_cap_w=self._rng.uniform(*OWN_W))
                for uuid in uuids
            ],
        )
        begin_s = time.perf_counter()
        answer = await self._stub.SetPowerCaps(request, timeout=10)
        return time.perf_counter() - begin_s, [result.outcome for result in answer.results]

    async def latencies(self, uuids: list[str], *, number: int) -> dict[str, float]:
        """Return how long commands take, ms."""
        spans_s = []
        for _ in range(number):
            span_s, outcomes = await self.command(uuids)
            assert set(outcomes) == {common_pb2.OUTCOME_APPLIED}, outcomes
            spans_s.append(span_s)
            await asyncio.sleep(0.05)
        low, high = np.percentile(np.array(spans_s) * 1e3, [50.0, 99.0])
        return {"p50_ms": round(float(low), 2), "p99_ms": round(float(high), 2), "number": number}

    async def work(self, *, duration_s: float, period_s: float) -> None:
        """Command every GPU in each period."""
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            await self.command(self.uuids)
            await asyncio.sleep(min(period_s, max(0.0, end_s - time.monotonic())))

    async def attend(self) -> None:
        """Read telemetry as it comes, and renew the lease, until cancelled."""
        renewal = common_pb2.RenewLeaseRequest(lease_id=self.lease.lease_id, epoch=self.lease.epoch)

        async def requests() -> AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]:
            while True:
                await asyncio.sleep(TTL_S / 3.0)
                yield node_agent_pb2.NodeAgentSessionRequest(renew_lease=renewal)

        async for _ in self._stub.Session(requests()):
            pass


async def measure(
    pki: certs.Pki, small: SmallHall, pid: int, address: Address, *, duration_s: float
) -> dict[str, Any]:
    """Return all figures."""
    told: dict[str, Any] = {}
    await asyncio.sleep(SETTLE_S)
    cost = Cost(pid)
    await asyncio.sleep(duration_s / 10.0)
    told["nobody connected"] = cost.so_far()
    tls = load_tls(pki.files("control"), usages=(Usage.CLIENT,))
    channel = open_channel(address, server_name=NODE, tls=tls)
    stub = node_agent_pb2_grpc.NodeAgentStub(channel)
    lease = await stub.AcquireLease(
        common_pb2.AcquireLeaseRequest(holder="bench", instance_id="1"), timeout=10
    )
    uuids = [bytes(uuid).decode() for uuid in small.hall.table("gpu_info")["uuid"]]
    client = Client(stub, lease, uuids)
    attending = asyncio.create_task(client.attend())
    for name, span_s, period_s in (
        ("caps every 30 s", duration_s, 30.0),
        ("caps every second", duration_s / 10.0, 1.0),
    ):
        cost = Cost(pid)
        await client.work(duration_s=span_s, period_s=period_s)
        told[name] = cost.so_far()
    told["cap to read-back, 8 GPUs"] = await client.latencies(uuids, number=400)
    set_fault(small.hall, uuids[0], "hang", value=3600.0)
    await client.command(uuids[:1])  # from here on its thread is blocked
    told["the same, 7 GPUs beside one that hangs"] = await client.latencies(uuids[1:], number=200)
    clear_faults(small.hall, uuids[0])
    attending.cancel()
    await channel.close()
    return told


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m support.node_bench", description=__doc__)
    parser.add_argument("--duration", type=float, default=600.0, help="s under a controller")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="coolcap-node-bench-") as name:
        folder = Path(name)
        pki = certs.make_pki(folder / "pki", agents=[NODE], controllers=["control"])
        small = SmallHall.create(folder / "hall", small_site(EIGHT_GPUS))
        port = free_port()
        text = CONFIG.format(
            port=port,
            ttl_s=TTL_S,
            driver='name = "nvml"\n[driver.nvml]\nassume_rights = true',
            own=OWN_W,
            clock_min_mhz=900.0,
            foreign="reapply",
        )
        config = folder / "node.toml"
        config.write_text(text.replace("sample_period_s = 0.1", "sample_period_s = 1.0"))
        with (folder / "log").open("w") as log, running(small):
            agent = subprocess.Popen(
                [sys.executable, "-m", "coolcap_agent", "node", "--config", str(config)],
                env=client_environment(folder / "hall", NODE),
                stdout=log,
                stderr=log,
            )
            try:
                address = Address(host="127.0.0.1", port=port)
                told = asyncio.run(
                    measure(pki, small, agent.pid, address, duration_s=arguments.duration)
                )
            finally:
                agent.terminate()
                agent.wait(30)
    told["load of the machine"] = os.getloadavg()[1]
    if arguments.json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        for what, figures in told.items():
            sys.stdout.write(f"{what}: {figures}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
