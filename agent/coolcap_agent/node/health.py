"""Health of single GPUs, under names of their own in the server's health service.

``coolcap.v1.NodeAgent`` tells of the agent, ``coolcap.v1.NodeAgent/GPU-3f2a…`` of one GPU: serving
as long as it answers and has had no critical event of late. One GPU's fault is never that of all.
"""

import math
from collections.abc import Sequence

from coolcap_agent.node.sampler import GpuSample, GpuState
from coolcap_agent.node.xid_watch import XidWatch
from coolcap_agent.rpc.server import RpcServer


class GpuHealth:
    """Tells a server's health service what changes.

    Args:
        server: The server.
        service: Full name of the agent's service.
    """

    def __init__(self, server: RpcServer, *, service: str) -> None:
        self._server = server
        self._service = service
        self._told: dict[str, bool] = {}

    async def tell(self, gpus: Sequence[GpuSample], xids: XidWatch) -> None:
        """Pass on the health of each GPU where it is not as told before."""
        for gpu in gpus:
            uuid = gpu.info.uuid
            answers = gpu.state in (GpuState.OK, GpuState.READ_ONLY)
            healthy = answers and math.isnan(xids.xid(uuid))
            if self._told.get(uuid) is not healthy:
                self._told[uuid] = healthy
                await self._server.set_serving(healthy, service=f"{self._service}/{uuid}")
