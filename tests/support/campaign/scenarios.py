"""Every other way to break an agent, its controller, its disk or its GPUs; one function each."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

import grpc
import grpc.aio

from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import TlsFiles, load_tls
from coolcap_agent.sim.faults import advance_faults, clear_faults, set_fault
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc
from support.campaign.bench import DEVICE_W, NODE, PATIENCE_S, TTL_S, Bench, Broken, Process, same
from support.campaign.proxy import Wire

APPLIED = common_pb2.OUTCOME_APPLIED
CLAMPED = common_pb2.OUTCOME_CLAMPED
CALL_S = 5.0
SLACK_S = 1.0
"""What a busy machine may take beside the lease."""


def need(holds: bool, otherwise: str) -> None:
    """Raise Broken unless something holds."""
    if not holds:
        raise Broken(otherwise)


@contextlib.contextmanager
def nothing() -> Iterator[None]:
    """Break nothing: a process that does not run yet cannot be held back."""
    yield


def ready(bench: Bench) -> None:
    """Have an agent that serves, and GPUs whose owner has just set them."""
    if bench.agent is not None and not bench.agent.ended:
        bench.agent.send(signal.SIGTERM)
        bench.agent.wait()
    bench.set_before()
    bench.start_agent()


@contextlib.contextmanager
def commanding(bench: Bench, address: str | None = None) -> Iterator[Process]:
    """A controller that has changed something; killed at the end."""
    controller = bench.start_controller(address=address)
    try:
        bench.wait_for(lambda: not bench.is_restored(), "the controller changes nothing")
        yield controller
    finally:
        controller.kill()


def controller_killed(bench: Bench) -> None:
    """All is restored within the lease."""
    ready(bench)
    with commanding(bench):
        pass
    begin_s = time.monotonic()
    bench.check_restored()
    need(time.monotonic() - begin_s < TTL_S + SLACK_S, "restored later than the lease's end")


def controller_stopped(bench: Bench) -> None:
    """SIGSTOP: its lease ends; when it goes on it holds an old epoch, and starts again."""
    ready(bench)
    with commanding(bench) as controller:
        controller.send(signal.SIGSTOP)
        bench.check_restored()
        controller.send(signal.SIGCONT)
        bench.wait_for(lambda: not bench.is_restored(), "the controller does not come back")
    bench.check_restored()


def agent_stopped(bench: Bench) -> None:
    """SIGSTOP past the lease: when it goes on it restores and writes nothing late."""
    ready(bench)
    assert bench.agent is not None
    with commanding(bench):
        bench.agent.send(signal.SIGSTOP)
        time.sleep(2.0 * TTL_S)
    bench.agent.send(signal.SIGCONT)
    bench.check_restored()


def partition(bench: Bench) -> None:
    """The wire is cut and nobody is told: the lease ends; when it is mended work goes on."""
    ready(bench)
    wire = Wire(bench.port)
    try:
        with commanding(bench, wire.address):
            wire.cut()
            bench.check_restored()
            wire.mend()
            bench.wait_for(lambda: not bench.is_restored(), "the controller does not come back")
        bench.check_restored()
    finally:
        wire.close()


def clock_jump(bench: Bench) -> None:
    """The wall clock is set by an hour, forth and back: no lease ends early or lives longer."""
    ready(bench)
    try:
        for ahead_s in (3600.0, -3600.0):
            with commanding(bench) as controller:
                bench.set_clock(ahead_s)
                controller.send(signal.SIGSTOP)
                begin_s = time.monotonic()
                bench.check_restored()
                need(time.monotonic() - begin_s < TTL_S + SLACK_S, "a set clock extends the lease")
    finally:
        bench.set_clock(0.0)


def full_disk(bench: Bench) -> None:
    """Nothing is written to a GPU whose old value cannot be put on disk; later all goes on."""
    ready(bench)
    _refused_for_lack_of_disk(bench, full=True)
    with commanding(bench):
        pass
    bench.check_restored()


def read_only_journal(bench: Bench) -> None:
    """The same with a disk that is read-only; and with caps set before, which go back anyway."""
    ready(bench)
    _refused_for_lack_of_disk(bench, full=False)
    with commanding(bench) as controller:
        with bench.disk.broken(bench.agent_pid, full=False):
            controller.send(signal.SIGKILL)
            bench.wait_for(lambda: all(map(same, bench.limits_w(), bench.before_w)), "not restored")
            need(bool(bench.journal()), "an entry was lost from a journal that cannot be written")
        bench.check_restored()


def killed_on_a_broken_disk(bench: Bench) -> None:
    """An agent that was killed and starts on a disk that takes nothing restores all the same."""
    for full in (True, False):
        ready(bench)
        with commanding(bench):
            assert bench.agent is not None
            bench.agent.kill()
            bench.check_frozen()
        with bench.disk.broken(bench.agent_pid, full=full) if bench.disk.mounted else nothing():
            bench.start_agent()
            bench.wait_for(lambda: all(map(same, bench.limits_w(), bench.before_w)), "not restored")
        bench.check_restored()


def two_controllers(bench: Bench) -> None:
    """One commands, the other is refused until the first has gone."""
    ready(bench)
    first = bench.start_controller(holder="first")
    second = bench.start_controller(holder="second")
    try:
        for _ in range(2):
            bench.wait_for(lambda: not bench.is_restored(), "neither controller gets the lease")
            bench.wait_for(
                lambda: asyncio.run(_holder(bench)) in ("first", "second"), "nobody has the lease"
            )
            holder = asyncio.run(_holder(bench))
            (first if holder == "first" else second).send(signal.SIGKILL)
            bench.wait_for(
                lambda was=holder: asyncio.run(_holder(bench)) != was,  # type: ignore[misc]
                "the lease of a killed controller does not end",
            )
    finally:
        first.kill()
        second.kill()
    bench.check_restored()


def stale_epoch(bench: Bench) -> None:
    """A command with the epoch of a lease that is over is refused and writes nothing."""
    ready(bench)

    async def play() -> None:
        async with _client(bench) as client:
            old = await _acquire(client)
            await asyncio.sleep(1.5 * TTL_S)
            new = await _acquire(client)
            need(new.epoch > old.epoch, "epochs do not grow")
            code = await _code(_set(client, old, bench, 300.0))
            need(code is grpc.StatusCode.ABORTED, f"an old epoch was not refused but {code}")
            answer = await _set(client, new, bench, 300.0)
            need(answer.results[0].outcome in (APPLIED, CLAMPED), "the new lease cannot write")

    asyncio.run(play())
    bench.check_restored()


def gpu_lost(bench: Bench) -> None:
    """A GPU is lost under a cap: the others are restored, it is when it comes back."""
    ready(bench)
    with commanding(bench):
        set_fault(bench.small.hall, bench.uuids[0], "gpu-lost")
    others = slice(1, None)
    bench.wait_for(
        lambda: all(map(same, bench.limits_w()[others], bench.before_w[others])), "not restored"
    )
    clear_faults(bench.small.hall, bench.uuids[0])
    bench.check_restored()


def hanging_call(bench: Bench) -> None:
    """A GPU whose calls block delays no other, and is restored when they return."""
    ready(bench)
    with commanding(bench):
        set_fault(bench.small.hall, bench.uuids[0], "hang", value=30.0)
        begin_s = time.monotonic()
    others = slice(1, None)
    bench.wait_for(
        lambda: all(map(same, bench.limits_w()[others], bench.before_w[others])), "not restored"
    )
    need(time.monotonic() - begin_s < TTL_S + SLACK_S, "a GPU that hangs delays the others")
    clear_faults(bench.small.hall, bench.uuids[0])
    bench.check_restored()


def ignored_set(bench: Bench) -> None:
    """A GPU that ignores its cap is reported; one that ignores its way back stays journaled."""
    ready(bench)

    async def play() -> None:
        async with _client(bench) as client:
            lease = await _acquire(client)
            set_fault(bench.small.hall, bench.uuids[0], "ignored-set")
            first, second = (await _set(client, lease, bench, 300.0, 300.0)).results
            need(first.outcome == common_pb2.OUTCOME_NOT_VERIFIED, f"told as {first.outcome}")
            need(second.outcome == APPLIED, f"the other: {second.message}")
            set_fault(bench.small.hall, bench.uuids[1], "ignored-set")

    asyncio.run(play())
    time.sleep(2.0 * TTL_S)
    need((bench.uuids[1], "power_cap_w") in bench.journal(), "forgotten before it was restored")
    for uuid in bench.uuids[:2]:
        clear_faults(bench.small.hall, uuid)
    bench.check_restored()


def driver_reload(bench: Bench) -> None:
    """A driver that is loaded again loses limits: ours are set again, and the owner's after them.

    What the owner had set on a GPU we never wrote is the owner's to set again.
    """
    ready(bench)
    with commanding(bench) as controller:
        controller.send(signal.SIGSTOP)
        time.sleep(0.1)  # until what it had sent is done
        for row, uuid in enumerate(bench.uuids):
            if (uuid, "power_cap_w") not in bench.journal():
                bench.before_w[row] = DEVICE_W[1]
            set_fault(bench.small.hall, uuid, "driver-reload")
    bench.check_restored()


def foreign_manager(bench: Bench) -> None:
    """Somebody else sets limits in every period; with each policy all ends as it should."""
    for policy in ("reapply", "alarm", "yield"):
        # Long enough that what the manager does, it does under the lease: later it would be right.
        bench.configure(foreign=policy, ttl_s=10.0 * TTL_S)
        ready(bench)
        first = (bench.uuids[0], "power_cap_w")
        with commanding(bench):
            bench.wait_for(lambda: first in bench.journal(), "the first GPU is never capped")  # noqa: B023
            set_fault(bench.small.hall, bench.uuids[0], "foreign-manager", value=333.0)
            for _ in range(10):
                advance_faults(bench.small.hall)
                time.sleep(0.05)
        clear_faults(bench.small.hall, bench.uuids[0])
        if policy == "yield":
            bench.before_w[0] = 333.0  # theirs now
        bench.check_restored()
    bench.configure()


SCENARIOS: Final[dict[str, Callable[[Bench], None]]] = {
    "controller killed": controller_killed,
    "controller stopped (SIGSTOP)": controller_stopped,
    "agent stopped (SIGSTOP)": agent_stopped,
    "partition": partition,
    "clock jump": clock_jump,
    "full disk": full_disk,
    "read-only journal": read_only_journal,
    "killed, then a broken disk": killed_on_a_broken_disk,
    "two controllers": two_controllers,
    "stale epoch": stale_epoch,
    "GPU lost": gpu_lost,
    "hanging NVML call": hanging_call,
    "ignored set": ignored_set,
    "driver reload": driver_reload,
    "foreign manager": foreign_manager,
}


# A client in this process, for what a random controller does not do


@contextlib.asynccontextmanager
async def _client(bench: Bench) -> AsyncIterator[node_agent_pb2_grpc.NodeAgentStub]:
    pki = bench.folder / "pki"
    files = TlsFiles(certificate=pki / "control.crt", key=pki / "control.key", ca=pki / "ca.crt")
    channel = open_channel(
        Address(host="127.0.0.1", port=bench.port),
        server_name=NODE,
        tls=load_tls(files, usages=(Usage.CLIENT,)),
    )
    try:
        yield node_agent_pb2_grpc.NodeAgentStub(channel)
    finally:
        await channel.close()


async def _acquire(client: node_agent_pb2_grpc.NodeAgentStub) -> common_pb2.Lease:
    request = common_pb2.AcquireLeaseRequest(holder="test", instance_id=str(time.monotonic_ns()))
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await client.AcquireLease(request, timeout=CALL_S)
        except grpc.aio.AioRpcError:
            if time.monotonic() > end_s:
                raise
            await asyncio.sleep(0.02)  # another lease, or values on their way back


async def _set(
    client: node_agent_pb2_grpc.NodeAgentStub, lease: common_pb2.Lease, bench: Bench, *watts: float
) -> node_agent_pb2.SetPowerCapsResponse:
    request = node_agent_pb2.SetPowerCapsRequest(
        lease_id=lease.lease_id,
        epoch=lease.epoch,
        sequence=1,
        power_caps=[
            node_agent_pb2.PowerCap(gpu_uuid=uuid, power_cap_w=cap_w)
            for uuid, cap_w in zip(bench.uuids, watts, strict=False)
        ],
    )
    return await client.SetPowerCaps(request, timeout=CALL_S)


async def _code(call: Awaitable[object]) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def _holder(bench: Bench) -> str:
    async with _client(bench) as client:
        request = common_pb2.GetTelemetryRequest()
        return (await client.GetTelemetry(request, timeout=CALL_S)).lease.holder


def _refused_for_lack_of_disk(bench: Bench, *, full: bool) -> None:
    async def play() -> None:
        async with _client(bench) as client:
            code = late = grpc.StatusCode.FAILED_PRECONDITION
            end_s = time.monotonic() + PATIENCE_S
            # On a busy machine the lease can be over before the disk is full.
            while code is grpc.StatusCode.FAILED_PRECONDITION and time.monotonic() < end_s:
                lease = await _acquire(client)
                with bench.disk.broken(bench.agent_pid, full=full):
                    code = await _code(_set(client, lease, bench, 300.0, 300.0))
                    await asyncio.sleep(1.5 * TTL_S)
                    late = await _code(
                        client.AcquireLease(
                            common_pb2.AcquireLeaseRequest(holder="test", instance_id="late"),
                            timeout=CALL_S,
                        )
                    )
            need(code is grpc.StatusCode.UNAVAILABLE, f"a cap was not refused but {code}")
            need(late is grpc.StatusCode.UNAVAILABLE, f"a lease was not refused but {late}")

    asyncio.run(play())
    need(all(map(same, bench.limits_w(), bench.before_w)), "written without a journal")
