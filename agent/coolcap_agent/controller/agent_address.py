"""Which agents there are and where they listen, as ``[[agents]]`` or a fleet file say it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from coolcap_agent.rpc.address import Address, parse_address
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.layout import Layout


class AgentKind(StrEnum):
    """Which service an agent offers."""

    NODE = "node"
    PLANT = "plant"
    RELAY = "relay"
    """Speaks for node agents; see docs/how-to/large-fleets.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """One agent: its id, which is also what its certificate must say, and where it listens.

    Attributes:
        name: Its id.
        kind: Which service it offers.
        address: Where; None while nobody knows.
        nodes: For a relay: the nodes it may speak for, and no others.
    """

    name: str
    kind: AgentKind
    address: Address | None
    nodes: tuple[str, ...] = ()


def read_agents(tables: list[Table], layout: Layout | None) -> tuple[AgentConfig, ...]:
    """Read ``[[agents]]``; problems are collected in the tables."""
    found: dict[str, AgentConfig] = {}
    spoken_for: dict[str, str] = {}
    for table in tables:
        name = table.take_str("name")
        kind = table.take_str("kind", allowed=tuple(AgentKind))
        text = table.take_str("address")
        nodes = table.take_strs("nodes") if kind == AgentKind.RELAY else ()
        table.finish()
        try:
            address = parse_address(text)
        except ValueError as error:
            table.complain("address", f"is not allowed: {error}")
            continue
        if name in found:
            table.complain("name", f"= {name!r} stands in two tables: each agent has one")
        known = layout.nodes if layout is not None else None
        claimed = [name] if kind == AgentKind.NODE else list(nodes)
        for node in claimed:
            if known is not None and node not in known:
                key = "name" if kind == AgentKind.NODE else "nodes"
                table.complain(key, f"= {node!r} is no node of site {_name(layout)}")
            if node in spoken_for:
                table.complain(
                    "nodes", f"has {node!r}, which {spoken_for[node]} speaks for already"
                )
            spoken_for[node] = name
        if kind:
            found[name] = AgentConfig(name=name, kind=AgentKind(kind), address=address, nodes=nodes)
    return tuple(found.values())


def check_complete(root: Table, agents: Sequence[AgentConfig], layout: Layout) -> None:
    """Complain about nodes nobody speaks for, and unless there is one plant agent."""
    names = {agent.name for agent in agents if agent.kind is AgentKind.NODE}
    names |= {node for agent in agents for node in agent.nodes}
    if missing := [node for node in layout.nodes if node not in names]:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        root.complain(
            "agents",
            f"lacks {len(missing)} nodes of site {layout.name}: {shown}; name them, or say by "
            "[discovery] where they are found",
        )
    check_plant(root, agents)


def check_plant(root: Table, agents: Sequence[AgentConfig]) -> None:
    """Complain unless there is one plant agent."""
    if (count := sum(agent.kind is AgentKind.PLANT for agent in agents)) != 1:
        root.complain("agents", f"has {count} of kind plant: exactly one is needed")


def with_absent(agents: Sequence[AgentConfig], layout: Layout) -> tuple[AgentConfig, ...]:
    """Return ``agents`` and every other node of the layout, without an address."""
    known = {agent.name for agent in agents}
    absent = [
        AgentConfig(name=node, kind=AgentKind.NODE, address=None)
        for node in layout.nodes
        if node not in known
    ]
    return (*agents, *absent)


def without_address(agent: AgentConfig) -> AgentConfig:
    """Return an agent that is not where it was."""
    return dataclasses.replace(agent, address=None)


def _name(layout: Layout | None) -> str:
    return layout.name if layout is not None else ""
