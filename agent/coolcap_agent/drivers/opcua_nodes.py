"""Nodes of an OPC UA server, named so that they stay the same when its namespaces move."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from coolcap_envs.contract.config import Table

TIMES: Final = ("source", "server", "none")
"""Which time stamp tells the age of a value."""

_NODE: Final = re.compile(r"nsu=([^;]+);([sig]=.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A variable: namespace URI, identifier as ``s=…``, ``i=…`` or ``g=…``, whose time counts."""

    namespace: str
    identifier: str
    time: str

    def __str__(self) -> str:
        """Return the identifier; its namespace is the same for most points of a site."""
        return self.identifier

    @property
    def step(self) -> float:
        """Return 0: what its type is only the server knows."""
        return 0.0

    def cells(self) -> frozenset[Hashable]:
        """Return the node."""
        return frozenset({(self.namespace, self.identifier)})


def take_node(table: Table, *, written: bool) -> Node:
    """Take ``node`` and ``time``; a value that we write has no age of its own."""
    text = table.take_str("node")
    match = _NODE.fullmatch(text)
    if text and match is None:
        table.complain(
            "node",
            f"= {text!r} is not allowed: nsu=<namespace URI>;s=<identifier> is needed (or i=, g=); "
            "an index as in ns=2 changes when the server is configured anew",
        )
    time = "none" if written else table.take_str("time", allowed=TIMES, default="source")
    namespace, identifier = match.groups() if match is not None else ("", "")
    return Node(namespace=namespace, identifier=identifier, time=time)
