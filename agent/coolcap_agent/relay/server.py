"""Entry point of ``coolcap relay``."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import Final

from coolcap_agent.daemon.notify import notify, watchdog_period_s
from coolcap_agent.logging import set_up_logging
from coolcap_agent.relay.config import RelayConfig, read_relay_config
from coolcap_agent.relay.node_line import RemoteRoute
from coolcap_agent.relay.service import RelayService
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.server import RpcServer
from coolcap_agent.rpc.tls import Tls
from coolcap_envs.contract.errors import CoolcapError
from coolcap_proto.v1 import node_relay_pb2, node_relay_pb2_grpc

log = logging.getLogger(__name__)

GRACE_S: Final = 1.0


def run_relay(path: Path) -> int:
    """Run the relay until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigError: If the config is unusable.
    """
    config = read_relay_config(path)
    set_up_logging(config.log)
    tls = config.load_tls()
    try:
        asyncio.run(_serve(config, tls))
    except CoolcapError as error:
        log.error("%s", error)
        return 1
    return 0


async def _serve(config: RelayConfig, tls: Tls) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = RpcServer(tls=tls)
    routes = [RemoteRoute(name, address, tls=tls) for name, address in config.nodes.items()]
    server.add(
        node_relay_pb2_grpc.add_NodeRelayServicer_to_server,
        RelayService(routes),
        node_relay_pb2.DESCRIPTOR.services_by_name["NodeRelay"],
    )
    address = config.server.listen
    port = await server.start(address)
    try:
        await server.set_serving(True)
        where = Address(host=address.host, port=port)
        log.info("%s serves on %s for %d nodes", config.relay_id, where, len(routes))
        notify("READY=1")
        while not stopped.is_set():
            try:
                await asyncio.wait_for(stopped.wait(), watchdog_period_s())
            except TimeoutError:
                notify("WATCHDOG=1")
    finally:
        notify("STOPPING=1")
        await server.stop(grace_s=GRACE_S)
