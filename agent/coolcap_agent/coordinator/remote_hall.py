"""A hall over the operator API of its controllers: the one that leads is asked."""

import logging
from math import nan
from typing import Final

import grpc.aio

from coolcap_agent.coordinator.config import HallConfig
from coolcap_agent.coordinator.coordinator import HallState
from coolcap_agent.logging import FaultLog
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.identity import Tls
from coolcap_proto.v1 import controller_pb2, controller_pb2_grpc

log = logging.getLogger(__name__)

CALL_DEADLINE_S: Final = 2.0
_ACTS: Final = (
    controller_pb2.LEADERSHIP_STATE_ALONE,
    controller_pb2.LEADERSHIP_STATE_LEADING,
)


class RemoteHall:
    """Implements ``Hall``.

    Args:
        config: The hall.
        tls: The coordinator's identity.
    """

    def __init__(self, config: HallConfig, *, tls: Tls) -> None:
        self._config = config
        self._faults = FaultLog(log)
        self._channels = [
            open_channel(one.address, server_name=one.name, tls=tls) for one in config.controllers
        ]
        self._stubs = [controller_pb2_grpc.ControllerStub(channel) for channel in self._channels]
        self._leader: controller_pb2_grpc.ControllerStub | None = None

    @property
    def name(self) -> str:
        """Return its name."""
        return self._config.name

    @property
    def floor_w(self) -> float:
        """Return the least it is given."""
        return self._config.floor_w

    @property
    def ceiling_w(self) -> float:
        """Return the most it is given."""
        return self._config.ceiling_w

    @property
    def priority(self) -> int:
        """Return its priority."""
        return self._config.priority

    async def read(self) -> HallState | None:
        """Return what the controller that acts says, None if none answers."""
        self._leader = None
        why = "none of its controllers leads"
        for stub in self._stubs:
            try:
                status = await stub.GetStatus(
                    controller_pb2.GetStatusRequest(), timeout=CALL_DEADLINE_S
                )
            except grpc.aio.AioRpcError as error:
                why = f"{error.code().name}: {error.details()}"
                continue
            if status.leadership.state not in _ACTS:
                continue
            for budget in status.budgets:
                if budget.name == self._config.budget:
                    self._leader = stub
                    self._faults.end(self.name, f"hall {self.name} answers")
                    bound = budget.HasField("power_bound_w")
                    return HallState(
                        budget_w=budget.budget_w,
                        power_bound_w=budget.power_bound_w if bound else nan,
                    )
            why = f"it has no budget {self._config.budget!r}"
        self._faults.begin(self.name, f"hall {self.name}: {why}; its budget counts as it was")
        return None

    async def set_budget(self, budget_w: float, *, reason: str) -> bool:
        """Set its budget; return whether that is confirmed."""
        if self._leader is None:
            return False
        request = controller_pb2.SetBudgetRequest(
            name=self._config.budget, budget_w=budget_w, reason=reason
        )
        try:
            await self._leader.SetBudget(request, timeout=CALL_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            log.warning("hall %s: %s: %s", self.name, error.code().name, error.details())
            return False
        return True

    async def close(self) -> None:
        """Disconnect."""
        for channel in self._channels:
            await channel.close()
