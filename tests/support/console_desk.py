"""The web console over a running controller of the small site, and people at browsers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from coolcap_agent.console.access import Access
from coolcap_agent.console.app import ConsoleApp
from coolcap_agent.console.feed import Feed
from coolcap_agent.controller.controller import Controller
from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_agent.controller.service import ControllerService
from coolcap_agent.simulated_clock import SimulatedClock
from coolcap_agent.sink.memory import MemorySink
from coolcap_envs.contract.policy import RulePolicy
from support.small_fleet import SmallFleet, until

TOKEN = "0123456789abcdef"
URL = "http://127.0.0.1"


class ConsoleDesk:
    """A running controller with its console's application, without a socket."""

    def __init__(
        self, small: SmallFleet, controller: Controller, fleet: Fleet, *, anonymous_read: bool
    ) -> None:
        self.small, self.controller, self.fleet = small, controller, fleet
        self.service = ControllerService(controller)
        self.feed = Feed(controller)
        access = Access({TOKEN: "ada"}, anonymous_read=anonymous_read)
        self.app = ConsoleApp(self.feed, self.service, access, hosts=["127.0.0.1"], tls=False)

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """Return a browser without a session."""
        transport = httpx.ASGITransport(app=self.app.asgi)
        return httpx.AsyncClient(transport=transport, base_url=URL, headers=headers)

    @asynccontextmanager
    async def signed_in(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a browser of a person who may control."""
        async with self.browser() as browser:
            answer = await browser.post("/api/session", json={"token": TOKEN})
            assert answer.status_code == 200
            yield browser

    async def tick(self) -> None:
        """Let a policy period pass in the hall, and a decision be made."""
        await self.small.frame()
        now_s = self.small.small.hall.time_s()
        await until(lambda: all(s.measure_time_s == now_s for s in self.fleet.sessions.values()))
        await self.controller.policy()


@asynccontextmanager
async def opened(small: SmallFleet, *, anonymous_read: bool) -> AsyncIterator[ConsoleDesk]:
    async with small.serve():
        config = small.config()
        async with small.controlled(config=config) as (fleet, _):
            controller = Controller(
                config,
                fleet=fleet,
                clock=SimulatedClock(small.folder / "hall.bin"),
                runner=PolicyRunner(LoadedPolicy(policy=RulePolicy(), name="rule"), deadline_s=5.0),
                sink=MemorySink(),
            )
            desk = ConsoleDesk(small, controller, fleet, anonymous_read=anonymous_read)
            try:
                assert await fleet.wait_ready(leases=True, patience_s=10.0)
                yield desk
            finally:
                desk.feed.stop()
                await controller.close()


def play(
    small: SmallFleet,
    scene: Callable[[ConsoleDesk], Awaitable[Any]],
    *,
    anonymous_read: bool = True,
) -> None:
    """Run a scene with a controller and its console."""

    async def run() -> None:
        async with opened(small, anonymous_read=anonymous_read) as desk:
            await scene(desk)

    asyncio.run(run())
