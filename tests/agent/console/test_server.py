"""The console on a socket: TLS, certificates, and an end without waiting."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from coolcap_agent.console.config import ConsoleConfig
from coolcap_agent.console.server import ConsoleServer
from coolcap_agent.rpc.address import Address, BindError
from support.console_desk import ConsoleDesk, opened
from support.small_fleet import SmallFleet


def config(*, tls: bool, port: int = 0) -> ConsoleConfig:
    return ConsoleConfig(
        listen=Address(host="127.0.0.1", port=port),
        tls=tls,
        token_file=None,
        anonymous_read=False,
        hosts=(),
    )


@asynccontextmanager
async def served(fleet: SmallFleet, *, tls: bool) -> AsyncIterator[tuple[ConsoleDesk, str]]:
    async with opened(fleet, anonymous_read=False) as desk:
        await desk.tick()
        server = ConsoleServer(
            config(tls=tls), desk.controller, desk.service, tls=desk.controller.config.load_tls()
        )
        await server.start()
        try:
            yield desk, server.url
        finally:
            await server.stop()


def browser(fleet: SmallFleet, identity: str | None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=fleet.pki.directory / "ca.crt")
    context.check_hostname = False  # the certificate is for the controller's name
    if identity is not None:
        folder = fleet.pki.directory
        context.load_cert_chain(folder / f"{identity}.crt", folder / f"{identity}.key")
    return httpx.AsyncClient(verify=context)


@pytest.mark.parametrize(
    ("identity", "may"),
    [(None, (False, False)), ("viewer", (True, False)), ("operator", (True, True))],
)
def test_a_certificate_says_who_one_is(
    fleet: SmallFleet, identity: str | None, may: tuple[bool, bool]
) -> None:
    async def scene() -> None:
        async with served(fleet, tls=True) as (desk, url), browser(fleet, identity) as client:
            session = (await client.get(f"{url}api/session")).json()
            answer = await client.post(
                f"{url}api/call/SetMode", json={"mode": "MODE_HOLD", "reason": "x"}
            )

            assert (session["read"], session["control"]) == may
            assert session["name"] == (identity or "")
            assert answer.status_code == (200 if may[1] else 403)
            assert desk.controller.loop.state.mode.mode == ("hold" if may[1] else "auto")

    asyncio.run(scene())


def test_address_in_use_is_told(fleet: SmallFleet) -> None:
    async def scene() -> None:
        async with served(fleet, tls=False) as (desk, url):
            second = ConsoleServer(
                config(tls=False, port=int(url.rstrip("/").rsplit(":", 1)[1])),
                desk.controller,
                desk.service,
                tls=desk.controller.config.load_tls(),
            )
            with pytest.raises(BindError, match="cannot listen"):
                await second.start()

    asyncio.run(scene())


def test_stopping_ends_open_streams(fleet: SmallFleet) -> None:
    async def scene() -> None:
        async with opened(fleet, anonymous_read=True) as desk:
            await desk.tick()
            listen = ConsoleConfig(
                listen=Address(host="127.0.0.1", port=0),
                tls=False,
                token_file=None,
                anonymous_read=True,
                hosts=(),
            )
            tls = desk.controller.config.load_tls()
            server = ConsoleServer(listen, desk.controller, desk.service, tls=tls)
            await server.start()
            await desk.tick()
            async with (
                httpx.AsyncClient() as client,
                client.stream("GET", f"{server.url}api/stream") as answer,
            ):
                text = answer.aiter_text()
                assert (await anext(text)).startswith("event: state")
                async with asyncio.timeout(5.0):
                    await server.stop()
                    async for _ in text:
                        pass

    asyncio.run(scene())
