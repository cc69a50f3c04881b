"""Tests of a relay between a controller and real node agents."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.checking import check
from coolcap_agent.controller.config import ControlConfig
from coolcap_agent.relay.node_line import RemoteRoute
from coolcap_agent.relay.service import RelayService
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import load_tls
from coolcap_envs.contract.errors import ConfigError
from coolcap_proto.v1 import node_relay_pb2, node_relay_pb2_grpc
from support.small_fleet import NODES, SmallFleet, until

RELAY = "relay-1"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certs.Pki:
    return certs.make_pki(
        tmp_path_factory.mktemp("pki"),
        agents=[*NODES, "plant"],
        controllers=["control", RELAY],
    )


@contextlib.asynccontextmanager
async def relay(small: SmallFleet, nodes: tuple[str, ...] = NODES) -> AsyncIterator[Address]:
    """Serve a relay for some nodes of the small fleet."""
    usages = (Usage.SERVER, Usage.CLIENT)
    tls = load_tls(small.pki.files(RELAY), usages=usages, name=RELAY)
    server = RpcServer(tls=tls)
    server.add(
        node_relay_pb2_grpc.add_NodeRelayServicer_to_server,
        RelayService([RemoteRoute(name, small.addresses[name], tls=tls) for name in nodes]),
        node_relay_pb2.DESCRIPTOR.services_by_name["NodeRelay"],
    )
    port = await server.start(Address(host="127.0.0.1", port=0))
    try:
        yield Address(host="127.0.0.1", port=port)
    finally:
        await server.stop(grace_s=0)


def behind(small: SmallFleet, address: Address, nodes: str = '"node-1", "node-2"') -> ControlConfig:
    """Return a config in which the relay speaks for the nodes."""
    table = (
        f'[[agents]]\nname = "{RELAY}"\nkind = "relay"\naddress = "{address}"\nnodes = [{nodes}]'
    )
    return small.config(named=("plant",), tables=table)


def test_nodes_behind_a_relay_are_read_leased_and_capped(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small, relay(small) as address:
            config = behind(small, address)
            async with small.controlled(config=config) as (fleet, plant):
                assert await fleet.wait_ready(leases=True, patience_s=10.0)
                await small.frame()
                await until(lambda: bool((plant.read().groups_age_s < 5.0).all()))
                values = {name: {"0": 250.0, "1": 260.0} for name in NODES}
                answers = await fleet.command(
                    values, answers_times_s={}, deadline_s=5.0, since_mono_s=0.0
                )
                assert [answers[name].read_back for name in NODES] == [values[n] for n in NODES]
                assert small.limits_w().tolist() == [250.0, 260.0, 250.0, 260.0]
            # Leases given back through the relay restore as they do without it.
            assert min(small.limits_w()) > 260.0

    asyncio.run(scenario())


def test_node_that_is_lost_behind_a_relay_disturbs_no_other(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small, relay(small) as address:
            config = behind(small, address)
            async with small.controlled(config=config) as (fleet, _):
                assert await fleet.wait_ready(leases=True, patience_s=10.0)
                one, other = fleet.sessions["node-1"], fleet.sessions["node-2"]
                epoch = other.lease.epoch

                await small.stop("node-1")
                await until(lambda: not one.connected)
                await until(lambda: "node-1" in one.problem)
                await small.start("node-1")
                await until(lambda: one.connected)

                assert (other.connected, other.lease.epoch) == (True, epoch)

    asyncio.run(scenario())


def test_relay_that_comes_back_is_used_again(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            async with relay(small) as address:
                config = behind(small, address)
            # Nobody is there yet.
            async with small.controlled(config=config) as (fleet, _):
                await until(lambda: bool(fleet.faults.message(f"{RELAY} connection")))
                assert not any(fleet.sessions[name].connected for name in NODES)

    asyncio.run(scenario())


def test_relay_may_not_speak_for_a_node_the_config_does_not_give_it(
    tmp_path: Path, pki: certs.Pki
) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small, relay(small) as address:
            table = (
                f'[[agents]]\nname = "{RELAY}"\nkind = "relay"\naddress = "{address}"\n'
                'nodes = ["node-1"]'
            )
            config = small.config(named=("node-2", "plant"), tables=table)
            async with small.controlled(config=config) as (fleet, _):
                await until(lambda: bool(fleet.faults.message(f"{RELAY} nodes")))
                assert "node-2" in fleet.faults.message(f"{RELAY} nodes")
                await until(lambda: all(fleet.sessions[name].connected for name in NODES))

    asyncio.run(scenario())


def test_node_in_two_places_is_refused(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            with pytest.raises(ConfigError, match="speaks for already"):
                behind(small, Address(host="127.0.0.1", port=1), '"node-1", "node-1"')
            with pytest.raises(ConfigError, match="no node of site small"):
                behind(small, Address(host="127.0.0.1", port=1), '"node-1", "node-9"')

    asyncio.run(scenario())


CONFIG = """
relay_id = "relay-1"
[server]
listen = "127.0.0.1:0"
certificate_file = "{pki}/relay-1.crt"
key_file = "{pki}/relay-1.key"
ca_file = "{pki}/ca.crt"
[[nodes]]
name = "node-1"
address = "127.0.0.1:{port}"
"""


def test_config_is_checked_whole_and_connects_to_nothing(tmp_path: Path, pki: certs.Pki) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(CONFIG.format(pki=pki.directory, port=1))
    assert check(path).problems == ()

    path.write_text(CONFIG.format(pki=pki.directory, port="x") + 'colour = "red"')
    problems = check(path).problems
    assert len(problems) == 2
    assert any("nodes[0].address" in problem for problem in problems)
    assert any("colour" in problem for problem in problems)
