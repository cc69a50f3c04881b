"""Servers over mutual TLS: who gets in, who may do what, what a bind and an end look like."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from coolcap_agent import certs
from coolcap_agent.rpc.address import Address, BindError
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import describe, open_channel
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import Tls, load_tls
from coolcap_proto.v1 import common_pb2, node_agent_pb2, node_agent_pb2_grpc

Serve = Callable[..., AbstractAsyncContextManager[tuple[RpcServer, Address]]]
Connect = Callable[..., grpc.aio.Channel]
DEADLINE_S = 5.0


async def telemetry(channel: grpc.aio.Channel) -> node_agent_pb2.NodeTelemetry:
    stub = node_agent_pb2_grpc.NodeAgentStub(channel)
    return await stub.GetTelemetry(common_pb2.GetTelemetryRequest(), timeout=DEADLINE_S)


async def set_caps(channel: grpc.aio.Channel) -> node_agent_pb2.SetPowerCapsResponse:
    stub = node_agent_pb2_grpc.NodeAgentStub(channel)
    request = node_agent_pb2.SetPowerCapsRequest(lease_id="a", epoch=1, sequence=7)
    return await stub.SetPowerCaps(request, timeout=DEADLINE_S)


async def one_session_answer(
    channel: grpc.aio.Channel,
) -> node_agent_pb2.NodeAgentSessionResponse:
    async def requests() -> AsyncIterator[node_agent_pb2.NodeAgentSessionRequest]:
        yield node_agent_pb2.NodeAgentSessionRequest(
            set_power_caps=node_agent_pb2.SetPowerCapsRequest(sequence=3)
        )

    stub = node_agent_pb2_grpc.NodeAgentStub(channel)
    async for answer in stub.Session(requests(), timeout=DEADLINE_S):
        return answer
    raise AssertionError("the session ended without an answer")


async def health_of(channel: grpc.aio.Channel, service: str) -> int:
    check: grpc.aio.UnaryUnaryMultiCallable[
        health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    ] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    request = health_pb2.HealthCheckRequest(service=service)
    return (await check(request, timeout=DEADLINE_S)).status


async def error_of(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def test_control_role_may_read_and_write(serve: Serve, connect: Connect) -> None:
    async def play() -> tuple[str, int, int]:
        async with serve() as (_, address), connect(address) as channel:
            return (
                (await telemetry(channel)).boot_id,
                (await set_caps(channel)).sequence,
                (await one_session_answer(channel)).set_power_caps.sequence,
            )

    assert asyncio.run(play()) == ("control", 7, 3)


def test_read_role_may_read_and_not_write(serve: Serve, connect: Connect) -> None:
    async def play() -> tuple[str, grpc.aio.AioRpcError, grpc.aio.AioRpcError]:
        async with serve() as (_, address), connect(address, client="viewer") as channel:
            return (
                (await telemetry(channel)).boot_id,
                await error_of(set_caps(channel)),
                await error_of(one_session_answer(channel)),
            )

    name, unary, stream = asyncio.run(play())

    assert name == "viewer"
    assert [unary.code(), stream.code()] == [grpc.StatusCode.PERMISSION_DENIED] * 2
    assert unary.details() == (
        "/coolcap.v1.NodeAgent/SetPowerCaps needs role control, and client certificate 'viewer' "
        "has read (URI coolcap://role/… in its subject alternative name); call with a certificate "
        "that has coolcap://role/control"
    )


def test_agents_certificate_is_no_client(serve: Serve, pki: certs.Pki) -> None:
    """
    Whoever takes over one node must not be able to command another.
    """

    async def play() -> grpc.aio.AioRpcError:
        tls = load_tls(pki.files("node-02"), usages=())
        async with (
            serve() as (_, address),
            open_channel(address, server_name="node-01", tls=tls) as channel,
        ):
            return await error_of(telemetry(channel))

    assert grpc.StatusCode.UNAVAILABLE is asyncio.run(play()).code()


def test_caller_without_certificate_gets_no_connection(serve: Serve, pki: certs.Pki) -> None:
    async def play() -> tuple[grpc.aio.AioRpcError, Address]:
        credentials = grpc.ssl_channel_credentials(pki.files("control").ca.read_bytes())
        async with serve() as (_, address):
            options = [("grpc.ssl_target_name_override", "node-01")]
            async with grpc.aio.secure_channel(str(address), credentials, options) as channel:
                return await error_of(telemetry(channel)), address

    error, address = asyncio.run(play())

    assert grpc.StatusCode.UNAVAILABLE is error.code()
    assert (
        f"node-01 at {address} closed the connection while it was set up; most likely it does not "
        "accept this client's certificate (expired, or of another authority)"
    ) == describe(error, address=address, server_name="node-01")


def test_caller_of_another_authority_gets_no_connection(
    serve: Serve, pki: certs.Pki, other_pki: certs.Pki
) -> None:
    async def play() -> grpc.aio.AioRpcError:
        foreign = load_tls(other_pki.files("control"), usages=(Usage.CLIENT,))
        tls = Tls(
            certificate_pem=foreign.certificate_pem,
            key_pem=foreign.key_pem,
            ca_pem=pki.files("control").ca.read_bytes(),
            names=foreign.names,
            end_time=foreign.end_time,
        )
        async with (
            serve() as (_, address),
            open_channel(address, server_name="node-01", tls=tls) as channel,
        ):
            return await error_of(telemetry(channel))

    assert grpc.StatusCode.UNAVAILABLE is asyncio.run(play()).code()


def test_caller_whose_certificate_has_expired_gets_no_connection(
    serve: Serve, tmp_path: Path
) -> None:
    """
    It was valid when the client read it; the server looks at every new connection.
    """
    today = datetime.now(UTC)
    start = today - timedelta(days=2)
    aged = certs.make_pki(tmp_path, agents=["node-01"], days=1, now=start)
    certs.make_pki(
        tmp_path, agents=["node-01"], controllers=(), operators=(), viewers=(), overwrite=True
    )

    async def play() -> grpc.aio.AioRpcError:
        tls = load_tls(aged.files("control"), usages=(Usage.CLIENT,), now=start)
        async with (
            serve(of=aged) as (_, address),
            open_channel(address, server_name="node-01", tls=tls) as channel,
        ):
            return await error_of(telemetry(channel))

    assert asyncio.run(play()).code() is grpc.StatusCode.UNAVAILABLE


def test_server_that_does_not_run_is_said_not_to_run(connect: Connect) -> None:
    with socket.socket() as bound_but_silent:
        bound_but_silent.bind(("127.0.0.1", 0))
        address = Address(host="127.0.0.1", port=bound_but_silent.getsockname()[1])

        async def play() -> grpc.aio.AioRpcError:
            async with connect(address) as channel:
                return await error_of(telemetry(channel))

        error = asyncio.run(play())

    assert describe(error, address=address, server_name="node-01") == (
        f"nothing listens for node-01 at {address}; is it running?"
    )


def test_server_with_another_name_is_not_talked_to(serve: Serve, connect: Connect) -> None:
    """
    A wrong address book must not send the caps of one node to another.
    """

    async def play() -> tuple[grpc.aio.AioRpcError, Address]:
        async with serve("node-02") as (_, address), connect(address) as channel:
            return await error_of(telemetry(channel)), address

    error, address = asyncio.run(play())

    assert grpc.StatusCode.UNAVAILABLE is error.code()
    assert (
        f"the server at {address} is not node-01: its certificate is for another name; "
        "correct the address or the id"
    ) == describe(error, address=address, server_name="node-01")


def test_method_that_does_not_exist_is_unimplemented(serve: Serve, connect: Connect) -> None:
    async def play() -> grpc.aio.AioRpcError:
        async with serve() as (_, address), connect(address) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/coolcap.v1.NodeAgent/Explode"
            )
            return await error_of(call(b"", timeout=DEADLINE_S))

    assert grpc.StatusCode.UNIMPLEMENTED is asyncio.run(play()).code()


def test_second_server_on_the_same_port_is_refused(serve: Serve) -> None:
    async def play() -> tuple[BindError, Address]:
        async with serve() as (_, address):
            with pytest.raises(BindError) as caught:
                async with serve(port=address.port):
                    pass
            return caught.value, address

    error, address = asyncio.run(play())

    assert (
        f"cannot listen on {address}: Address already in use; each daemon needs an address of "
        "this machine that no other process uses (another copy of it running?)"
    ) == str(error)


def test_port_is_bound_without_sharing_it_even_if_the_first_check_is_passed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Two daemons that start in the same instant: gRPC's own bind still lets only one have the port.
    """
    monkeypatch.setattr("coolcap_agent.rpc.server.check_free", lambda address: None)

    async def play() -> None:
        async with serve() as (_, address):
            with pytest.raises(BindError, match="Failed to bind"):
                async with serve(port=address.port):
                    pass

    asyncio.run(play())


def test_health_follows_the_service(serve: Serve, connect: Connect) -> None:
    name = "coolcap.v1.NodeAgent"

    async def play() -> list[int]:
        async with serve() as (server, address), connect(address, client="viewer") as channel:
            seen = [await health_of(channel, name), await health_of(channel, "")]
            await server.set_serving(False, service=name)
            return [*seen, await health_of(channel, name), await health_of(channel, "")]

    state = health_pb2.HealthCheckResponse
    assert asyncio.run(play()) == [state.SERVING, state.SERVING, state.NOT_SERVING, state.SERVING]


def test_health_can_be_watched_through_the_role_check(serve: Serve, connect: Connect) -> None:
    async def play() -> list[int]:
        async with serve() as (server, address), connect(address, client="viewer") as channel:
            watch: grpc.aio.UnaryStreamMultiCallable[
                health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
            ] = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            seen: list[int] = []
            async for answer in watch(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S):
                seen.append(answer.status)
                if len(seen) == 2:
                    break
                await server.set_serving(False)
            return seen

    state = health_pb2.HealthCheckResponse
    assert asyncio.run(play()) == [state.SERVING, state.NOT_SERVING]


def test_reflection_lists_the_services(serve: Serve, connect: Connect) -> None:
    async def play() -> list[str]:
        async with serve() as (_, address), connect(address, client="viewer") as channel:
            info: grpc.aio.StreamStreamMultiCallable[
                reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
            ] = channel.stream_stream(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
            )
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            names: list[str] = []
            async for answer in info(iter([request]), timeout=DEADLINE_S):
                names += [service.name for service in answer.list_services_response.service]
            return names

    assert sorted(asyncio.run(play())) == [
        "coolcap.v1.NodeAgent",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


def test_stop_ends_open_sessions(serve: Serve, connect: Connect) -> None:
    async def play() -> grpc.StatusCode:
        async with serve() as (server, address), connect(address) as channel:
            call = node_agent_pb2_grpc.NodeAgentStub(channel).Session()
            await call.write(node_agent_pb2.NodeAgentSessionRequest())
            await call.read()
            await server.stop(grace_s=0.05)
            return await call.code()

    assert asyncio.run(play()) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
