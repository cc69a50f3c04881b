"""Taking in a changed config while the loop runs: bundle, limits and budgets.

All of it or nothing: what is wrong is said, and everything stays as it was. Leases, connections and
mode are not touched. What needs a restart (other nodes, another port, …) is said, too.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from coolcap_agent.controller.config import ControlConfig, read_control_config
from coolcap_agent.controller.policy_runner import LoadedPolicy, load_policy
from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.layout import Layout

log = logging.getLogger(__name__)

RELOADED: Final = ("limits", "policy", "work_value", "demand_response")
"""What is taken in; ``work_value`` of the loop's part."""


class ReloadError(CoolcapError):
    """The changed config is not taken in; the message says why."""


class Reconfigurable(Protocol):
    """What takes a config in. ``Controller`` does."""

    config: ControlConfig

    async def reconfigure(self, config: ControlConfig, loaded: LoadedPolicy) -> None:
        """Replace limits, budgets and policy between two ticks."""
        ...


async def reload(controller: Reconfigurable) -> str:
    """Read the config again and take it in; return what changed, in words.

    Raises:
        ReloadError: If anything about it is wrong; nothing has changed then.
    """
    old = controller.config
    try:
        new = await asyncio.to_thread(read_control_config, old.path)
        _check_layout(old.layout, new.layout)
        # A bundle is checked whole, by hash and recorded outputs, before it takes over; and against
        # the key of the start, for whoever changes a bundle must not choose who may have signed it.
        loaded = await asyncio.to_thread(load_policy, new.policy, old.policy_key)
    except CoolcapError as error:
        raise ReloadError(f"{old.path} is not taken in, everything stays as it was: {error}") from (
            error
        )
    merged = dataclasses.replace(
        old,
        limits=new.limits,
        policy=new.policy,
        demand_response=new.demand_response,
        loop=dataclasses.replace(old.loop, work_value=new.loop.work_value),
    )
    await controller.reconfigure(merged, loaded)
    waits = [
        field.name
        for field in dataclasses.fields(ControlConfig)
        if field.name not in (*RELOADED, "layout") and _differs(merged, new, field.name)
    ]
    rest = f"; a restart is needed for {', '.join(waits)}" if waits else ""
    return f"policy {loaded.name}, {len(new.limits.budget_names)} budgets{rest}"


class Reloader:
    """Reloads when asked to, for ever.

    Args:
        controller: Takes the config in.
        after: Called with what happened, for the record.
    """

    def __init__(
        self, controller: Reconfigurable, *, after: Callable[[str, bool], Awaitable[None]]
    ) -> None:
        self._controller = controller
        self._after = after
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Ask for a reload; returns at once."""
        self._asked.set()

    async def run(self) -> None:
        """Carry out what is asked, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                said = await reload(self._controller)
            except ReloadError as error:
                log.error("%s", error)
                await self._after(str(error), False)
            else:
                log.info("config taken in: %s", said)
                await self._after(f"config taken in: {said}", True)


def _check_layout(old: Layout, new: Layout) -> None:
    same = (
        old.group_names == new.group_names
        and old.node_names == new.node_names
        and old.gpu_indices == new.gpu_indices
        and bool((old.plant_levers == new.plant_levers).all())
    )
    if not same:
        raise ReloadError(
            f"site {new.name} has other groups, nodes or levers than the one that runs; "
            "that needs a restart"
        )


def _differs(old: ControlConfig, new: ControlConfig, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))
