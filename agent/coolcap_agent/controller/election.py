"""Putting together what a controller needs to share its hall with others, as configured."""

import asyncio
from typing import TYPE_CHECKING

from coolcap_agent.controller.config import ControlConfig
from coolcap_agent.controller.election_config import ElectionConfig, ElectorKind
from coolcap_agent.controller.elector import Elector
from coolcap_agent.controller.fleet import Fleet
from coolcap_agent.controller.leadership import MajorityLeadership
from coolcap_agent.rpc.tls import Tls

if TYPE_CHECKING:
    from coolcap_agent.controller.controller import Controller


def open_elector(election: ElectionConfig, *, candidate: str, ttl_s: float) -> Elector | None:
    """Return the elector, None for leases alone.

    Raises:
        ConfigError: If a file it needs cannot be read.
    """
    if election.service is None:
        return None
    # Only who has an elector pays for an HTTP client.
    from coolcap_agent.controller.elector_etcd import EtcdElector
    from coolcap_agent.controller.elector_http import open_client
    from coolcap_agent.controller.elector_kubernetes import KubernetesElector

    make = EtcdElector if election.elector is ElectorKind.ETCD else KubernetesElector
    client = open_client(election.service)
    return make(client, office=election.service.office, candidate=candidate, ttl_s=ttl_s)


class Election:
    """Leadership, elector and follower of one controller; nothing of it for one that is alone.

    Args:
        config: The controller's config.
        fleet: Sessions with all agents.
        candidate: Who this controller is to the elector; unique.

    Raises:
        ConfigError: If a file the elector needs cannot be read.
    """

    def __init__(self, config: ControlConfig, fleet: Fleet, *, candidate: str) -> None:
        self._config = config.election
        self._elector: Elector | None = None
        self.leadership: MajorityLeadership | None = None
        if config.election is None:
            return
        ttl_s = config.loop.lease_ttl_s
        self._elector = open_elector(config.election, candidate=candidate, ttl_s=ttl_s)
        self.leadership = MajorityLeadership(fleet, elector=self._elector, lease_ttl_s=ttl_s)

    def start(self, tasks: asyncio.TaskGroup, controller: "Controller", *, tls: Tls) -> None:
        """Take part, in tasks of ``tasks``."""
        leadership = self.leadership
        if leadership is None or self._config is None:
            return
        from coolcap_agent.controller.follow import Follower

        follower = Follower(
            self._config.peers,
            tls=tls,
            leads=lambda: leadership.leads(margin_s=0.0),
            changed_s=lambda: controller.changed_s,
            adopt=controller.adopt,
        )
        leadership.ask_peers = follower.poll
        tasks.create_task(follower.run())
        tasks.create_task(leadership.run())
        if self._elector is not None:
            tasks.create_task(self._elector.run())
