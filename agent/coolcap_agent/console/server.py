"""Serves the console from the controller's own event loop."""

import asyncio
import contextlib
import logging
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from coolcap_agent.console.access import CERTIFICATE, Access
from coolcap_agent.console.app import ConsoleApp
from coolcap_agent.console.config import ConsoleConfig
from coolcap_agent.console.feed import Feed
from coolcap_agent.controller.controller import Controller
from coolcap_agent.rpc.address import Address, BindError, check_free
from coolcap_agent.rpc.tls import Tls
from coolcap_proto.v1 import controller_pb2_grpc

CONNECTION_COUNT_MAX: Final = 200
STOP_WITHIN_S: Final = 1


class _WithCertificate:
    """Tells the application what TLS proved about this connection's other end."""

    def __init__(self, app: ASGIApp, shown: dict[str, Any]) -> None:
        self._app, self._shown = app, shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, CERTIFICATE: self._shown}, receive, send)


class _Protocol(H11Protocol):
    """Uvicorn keeps the client's certificate to itself; this passes it on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and (shown := tls.getpeercert()):
            self.app = _WithCertificate(self.app, shown)


class _Server(uvicorn.Server):
    """Signals are the controller's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ConsoleServer:
    """The console of one controller. Make it in the controller's event loop.

    Args:
        config: How it is reached.
        controller: What it shows.
        service: What answers the operator API.
        tls: The controller's identity, used if ``config.tls``.
    """

    def __init__(
        self,
        config: ConsoleConfig,
        controller: Controller,
        service: controller_pb2_grpc.ControllerServicer,
        *,
        tls: Tls,
    ) -> None:
        self._config, self._tls = config, tls
        self._feed = Feed(controller)
        host = config.listen.host
        names = {host, f"[{host}]" if ":" in host else host, *config.hosts}
        if config.listen.loopback:
            names |= {"localhost", "127.0.0.1", "[::1]"}
        app = ConsoleApp(
            self._feed,
            service,
            Access(config.tokens(), anonymous_read=config.anonymous_read),
            hosts=sorted(names),
            tls=config.tls,
        )
        self._server = _Server(
            uvicorn.Config(
                app.asgi,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTION_COUNT_MAX,
                timeout_graceful_shutdown=STOP_WITHIN_S,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self.address = config.listen

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            BindError: If the address cannot be had.
        """
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        listen = self._config.listen
        check_free(listen)
        try:
            sock = socket.create_server(
                (listen.host, listen.port),
                family=socket.AF_INET6 if ":" in listen.host else socket.AF_INET,
            )
        except OSError as error:
            raise BindError(f"the console cannot listen on {listen}: {error.strerror}") from error
        self.address = Address(host=listen.host, port=sock.getsockname()[1])
        config = self._server.config
        config.load()
        if self._config.tls:
            config.ssl = server_context(self._tls)
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]))

    @property
    def url(self) -> str:
        """Return where a browser finds it."""
        return f"{'https' if self._config.tls else 'http'}://{self.address}/"

    async def stop(self) -> None:
        """End all streams and stop serving; safe to call twice."""
        self._feed.stop()
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return a TLS context that asks browsers for a certificate, and does without if need be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=tls.ca_pem.decode())
    # The ssl module reads identities from files only.
    with tempfile.TemporaryDirectory(prefix="coolcap-") as folder:
        path = Path(folder) / "identity.pem"
        path.touch(mode=0o600)
        path.write_bytes(tls.key_pem + b"\n" + tls.certificate_pem)
        context.load_cert_chain(path)
    return context
