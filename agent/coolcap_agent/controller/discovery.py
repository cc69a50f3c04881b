"""Finding node agents: from a file, from DNS, or from the endpoints of a Kubernetes service.

Where an agent listens is taken from whoever says so; who it is, its certificate proves. A source
that fails leaves all agents where they were.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypedDict

import httpx

from coolcap_agent.config import read_config
from coolcap_agent.controller.agent_address import AgentConfig, AgentKind, read_agents
from coolcap_agent.controller.discovery_config import (
    DiscoveryConfig,
    DnsSource,
    FileSource,
    KubernetesSource,
)
from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.tls import TlsFiles
from coolcap_envs.contract.errors import ConfigError, CoolcapError
from coolcap_envs.contract.layout import Layout

log = logging.getLogger(__name__)

IDENTIFY_DEADLINE_S: Final = 5.0
"""Longest wait for an agent to show its certificate."""
IDENTIFY_AT_ONCE: Final = 32
PAGE_SIZE: Final = 500
"""Slices asked for at once; one has at most 1000 endpoints, 100 by default."""


class DiscoveryError(CoolcapError):
    """A source cannot be asked now; asked again after a while."""


class Source(Protocol):
    """Says which agents there are."""

    async def find(self) -> Sequence[AgentConfig]:
        """Return all agents. Raises DiscoveryError."""
        ...


class FromFile:
    """Reads ``[[agents]]`` tables."""

    def __init__(self, source: FileSource, layout: Layout) -> None:
        self._path = source.path
        self._layout = layout

    async def find(self) -> Sequence[AgentConfig]:
        """Return what the file says. Raises DiscoveryError."""
        try:
            return await asyncio.to_thread(
                read_config,
                self._path,
                lambda root: read_agents(root.take_tables("agents"), self._layout),
            )
        except ConfigError as error:
            raise DiscoveryError(str(error)) from error


class FromDns:
    """Resolves a name and asks each address it has not met who it is.

    Args:
        source: The name.
        layout: What stands where.
        files: The controller's identity; agents show theirs only to those who have one.
    """

    def __init__(self, source: DnsSource, layout: Layout, files: TlsFiles) -> None:
        self._source = source
        self._nodes = frozenset(layout.nodes)
        self._files = files
        self._names: dict[Address, str] = {}

    async def find(self) -> Sequence[AgentConfig]:
        """Return the agents that answer. Raises DiscoveryError."""
        host, port = self._source.host, self._source.port
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise DiscoveryError(f"{host} cannot be resolved: {error}") from error
        addresses = {Address(host=str(entry[4][0]), port=port) for entry in found}
        self._names = {a: name for a, name in self._names.items() if a in addresses}
        turns = asyncio.Semaphore(IDENTIFY_AT_ONCE)
        context = await asyncio.to_thread(_client_context, self._files)

        async def identify(address: Address) -> None:
            async with turns:
                name = await _certified_name(address, context, self._nodes)
            if name:
                self._names[address] = name

        async with asyncio.TaskGroup() as tasks:
            for address in addresses - self._names.keys():
                tasks.create_task(identify(address))
        return [_node(name, address) for address, name in self._names.items()]


class _Endpoint(TypedDict, total=False):
    """The part of an Endpoint of ``discovery.k8s.io/v1`` that is used."""

    addresses: list[str]
    nodeName: str
    conditions: Mapping[str, bool | None]


class FromKubernetes:
    """Lists the EndpointSlices of a service; the node's name names the agent.

    Not the older Endpoints: they are cut off at 1000 addresses.
    https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
    """

    def __init__(self, source: KubernetesSource, layout: Layout) -> None:
        self._source = source
        self._nodes = frozenset(layout.nodes)

    async def find(self) -> Sequence[AgentConfig]:
        """Return the agents whose pods are ready. Raises DiscoveryError."""
        source = self._source
        try:
            token = "" if source.token_file is None else source.token_file.read_text().strip()
            verify = (
                ssl.create_default_context(cafile=str(source.ca_file))
                if source.url.startswith("https") and source.ca_file is not None
                else True
            )
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with httpx.AsyncClient(
                base_url=source.url, headers=headers, verify=verify, trust_env=False
            ) as client:
                endpoints = await self._list(client)
        except (OSError, httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            what = f"service {source.namespace}/{source.service} at {source.url}"
            raise DiscoveryError(
                f"{what} cannot be read: {error}; the controller's service account needs "
                "`list` on endpointslices"
            ) from error
        found: dict[str, AgentConfig] = {}
        for endpoint in endpoints:
            name = endpoint.get("nodeName", "")
            # Absent conditions count as ready, as the API asks of its clients.
            ready = endpoint.get("conditions", {}).get("ready")
            addresses = endpoint.get("addresses")
            if name in self._nodes and ready is not False and addresses:
                address = Address(host=addresses[0], port=source.port)
                found[name] = _node(name, address)
        return list(found.values())

    async def _list(self, client: httpx.AsyncClient) -> list[_Endpoint]:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self._source.namespace}/endpointslices"
        label = f"kubernetes.io/service-name={self._source.service}"
        endpoints: list[_Endpoint] = []
        more = ""
        while True:
            asked = {"labelSelector": label, "limit": str(PAGE_SIZE)}
            response = await client.get(path, params=asked | ({"continue": more} if more else {}))
            response.raise_for_status()
            answer = response.json()
            for piece in answer["items"]:
                endpoints += piece.get("endpoints") or []
            more = answer.get("metadata", {}).get("continue", "")
            if not more:
                return endpoints


def open_source(config: DiscoveryConfig, layout: Layout, files: TlsFiles) -> Source:
    """Return what ``[discovery]`` names."""
    if isinstance(config.source, FileSource):
        return FromFile(config.source, layout)
    if isinstance(config.source, DnsSource):
        return FromDns(config.source, layout, files)
    return FromKubernetes(config.source, layout)


class Discoverer:
    """Keeps a fleet's addresses up to date.

    Args:
        source: Says which agents there are.
        fleet: Is told where they are.
        period_s: Pause between two looks.
        faults: Logs a source that fails.
    """

    def __init__(self, source: Source, fleet: Fleet, *, period_s: float, faults: FaultLog) -> None:
        self._source = source
        self._fleet = fleet
        self._period_s = period_s
        self._faults = faults

    async def look(self) -> None:
        """Ask the source once."""
        try:
            found = await self._source.find()
        except DiscoveryError as error:
            self._faults.begin("discovery", f"discovery: {error}; agents stay where they were")
            return
        self._faults.end("discovery", f"discovery: found {len(found)} agents")
        self._fleet.place(found)

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._period_s)


def _node(name: str, address: Address) -> AgentConfig:
    return AgentConfig(name=name, kind=AgentKind.NODE, address=address)


def _client_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.ca))
    context.load_cert_chain(str(files.certificate), str(files.key))
    context.check_hostname = False  # the name is what we want to learn
    context.set_alpn_protocols(["h2"])
    return context


async def _certified_name(
    address: Address, context: ssl.SSLContext, nodes: frozenset[str]
) -> str | None:
    """Return the node an agent's certificate is for, None if it is none or does not answer."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(IDENTIFY_DEADLINE_S):
            _, writer = await asyncio.open_connection(
                address.host, address.port, ssl=context, server_hostname=""
            )
        certificate = writer.get_extra_info("peercert") or {}
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(IDENTIFY_DEADLINE_S):
                await writer.wait_closed()
        names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
        return next((name for name in names if name in nodes), None)
    return None
