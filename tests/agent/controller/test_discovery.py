"""Tests of finding agents: addresses come from a source, identities from certificates."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from coolcap_agent import certs
from coolcap_agent.controller.discovery import (
    Discoverer,
    DiscoveryError,
    FromDns,
    FromFile,
    FromKubernetes,
)
from coolcap_agent.controller.discovery_config import (
    DnsSource,
    FileSource,
    KubernetesSource,
)
from coolcap_agent.logging import FaultLog
from coolcap_envs.contract.errors import ConfigError
from support.small_fleet import SmallFleet, until

LAYOUT_NODES = ("node-1", "node-2")


def test_nodes_of_a_file_join_move_and_leave_and_disturb_nobody(
    tmp_path: Path, pki: certs.Pki
) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            path = tmp_path / "fleet.toml"
            path.write_text(small.agent_table("node-1") + small.agent_table("node-2"))
            config = small.config(tables='[discovery.file]\npath = "fleet.toml"', named=("plant",))
            async with small.controlled(config=config) as (fleet, _):
                faults = FaultLog(logging.getLogger("test"))
                source = FromFile(FileSource(path=path), config.layout)
                discoverer = Discoverer(source, fleet, period_s=1.0, faults=faults)
                one, other = fleet.sessions["node-1"], fleet.sessions["node-2"]
                assert not one.connected

                await discoverer.look()
                assert await fleet.wait_ready(leases=True, patience_s=5.0)

                # One is restarted elsewhere, with the file broken for a while.
                epoch = other.lease.epoch
                await small.stop("node-1")
                await until(lambda: not one.connected)
                path.write_text("[[agents]]\nname = ")
                await discoverer.look()
                assert "fleet.toml" in faults.present["discovery"]
                del small.addresses["node-1"]
                await small.start("node-1")
                path.write_text(small.agent_table("node-1") + small.agent_table("node-2"))
                await discoverer.look()
                await until(lambda: one.connected)
                assert not faults.present.get("discovery")

                # The other leaves.
                assert (other.connected, other.lease.epoch) == (True, epoch)
                path.write_text(small.agent_table("node-1"))
                await discoverer.look()
                await until(lambda: not other.connected)
                assert other.config.address is None
                assert one.connected

    asyncio.run(scenario())


def test_who_is_at_an_address_of_dns_its_certificate_says(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            config = small.config()
            for agent, expected in (("node-2", ["node-2"]), ("plant", [])):
                port = small.addresses[agent].port
                source = DnsSource(host="127.0.0.1", port=port)
                found = await FromDns(source, config.layout, config.server.tls).find()
                assert [one.name for one in found] == expected
                assert all(one.address == small.addresses[agent] for one in found)

    asyncio.run(scenario())


def test_name_that_cannot_be_resolved_is_told(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            config = small.config()
            source = DnsSource(host="nobody.invalid", port=1)
            with pytest.raises(DiscoveryError, match="cannot be resolved"):
                await FromDns(source, config.layout, config.server.tls).find()

    asyncio.run(scenario())


@contextmanager
def cluster(answer: Callable[[str, dict[str, list[str]], str], object]) -> Iterator[str]:
    """Serve a stand-in for the API of Kubernetes; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            token = self.headers.get("Authorization", "")
            body = json.dumps(answer(parts.path, parse_qs(parts.query), token)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubernetes(url: str, folder: Path) -> KubernetesSource:
    (folder / "token").write_text("secret\n")
    return KubernetesSource(
        namespace="coolcap",
        service="coolcap-node",
        port=7501,
        url=url,
        token_file=folder / "token",
        ca_file=None,
    )


def test_ready_pods_of_all_pages_are_found_by_their_node(tmp_path: Path, pki: certs.Pki) -> None:
    seen: list[str] = []

    def answer(path: str, query: dict[str, list[str]], token: str) -> object:
        assert path == "/apis/discovery.k8s.io/v1/namespaces/coolcap/endpointslices"
        assert query["labelSelector"] == ["kubernetes.io/service-name=coolcap-node"]
        seen.append(token)
        if "continue" not in query:
            pods = [
                {"addresses": ["10.0.0.1"], "nodeName": "node-1", "conditions": {"ready": True}},
                {"addresses": ["10.0.0.9"], "nodeName": "elsewhere", "conditions": {}},
            ]
            return {"items": [{"endpoints": pods}], "metadata": {"continue": "next"}}
        pods = [
            {"addresses": ["10.0.0.3"], "nodeName": "node-2", "conditions": {"ready": False}},
            {"addresses": ["10.0.0.2"], "nodeName": "node-2", "conditions": {"ready": None}},
        ]
        return {"items": [{"endpoints": pods}, {"endpoints": None}], "metadata": {}}

    async def scenario(url: str) -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            layout = small.config().layout
            found = await FromKubernetes(kubernetes(url, tmp_path), layout).find()
            assert {one.name: str(one.address) for one in found} == {
                "node-1": "10.0.0.1:7501",
                "node-2": "10.0.0.2:7501",
            }

    with cluster(answer) as url:
        asyncio.run(scenario(url))
    assert seen == ["Bearer secret", "Bearer secret"]


def test_answer_of_another_kind_is_told_with_what_is_needed(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario(url: str) -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            with pytest.raises(DiscoveryError, match="needs `list` on endpointslices"):
                await FromKubernetes(kubernetes(url, tmp_path), small.config().layout).find()

    with cluster(lambda path, query, token: {"kind": "Status"}) as url:
        asyncio.run(scenario(url))


def test_config_wants_one_source_and_says_what_is_missing(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            with pytest.raises(ConfigError, match="one of file, dns, kubernetes is needed"):
                small.config(tables="[discovery]\nperiod_s = 5.0")
            with pytest.raises(ConfigError, match=r"or say by\s+\[discovery\]"):
                small.config(named=("node-1", "plant"))

    asyncio.run(scenario())
