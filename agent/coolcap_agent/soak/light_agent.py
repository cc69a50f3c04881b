"""What the simulated node and plant agents share: leases with epochs on disk, and their calls."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from coolcap_agent.daemon.wire import lease_message, span_of
from coolcap_agent.lease import LeaseKeeper
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2

LEASE_TTL_DEFAULT_S: Final = 5.0
LEASE_TTL_MAX_S: Final = 60.0


class LightAgent(ABC):
    """An agent without journal, whose devices are numbers.

    Args:
        name: Its id.
        folder: Where the epoch of its lease is kept.
    """

    def __init__(self, name: str, *, folder: Path) -> None:
        self.name = name
        self.restore_count = 0
        self.leases = LeaseKeeper(
            agent=name,
            epoch_path=folder / f"{name}.epoch",
            ttl_default_s=LEASE_TTL_DEFAULT_S,
            ttl_max_s=LEASE_TTL_MAX_S,
        )
        self._written = False

    @abstractmethod
    def put_back(self) -> None:
        """Put back what was in force before the first write."""

    async def AcquireLease(  # noqa: N802 - the API's name
        self, request: common_pb2.AcquireLeaseRequest, context: CallContext
    ) -> common_pb2.Lease:
        """Grant the lease, or renew the caller's live one."""
        try:
            return self.acquire(request)
        except RefusedError as refused:
            await refused.end_call(context)
            raise

    async def RenewLease(  # noqa: N802
        self, request: common_pb2.RenewLeaseRequest, context: CallContext
    ) -> common_pb2.Lease:
        """Give the lease its full time from now."""
        try:
            return self.renewed(request)
        except RefusedError as refused:
            await refused.end_call(context)
            raise

    async def ReleaseLease(  # noqa: N802
        self, request: common_pb2.ReleaseLeaseRequest, context: CallContext
    ) -> common_pb2.ReleaseLeaseResponse:
        """End the lease and restore."""
        try:
            return self.release(request)
        except RefusedError as refused:
            await refused.end_call(context)
            raise

    def acquire(self, request: common_pb2.AcquireLeaseRequest) -> common_pb2.Lease:
        """Grant the lease. Raises RefusedError."""
        self.restore_if_over()
        lease = self.leases.acquire(
            holder=request.holder,
            instance_id=request.instance_id,
            ttl_s=span_of(request.ttl) if request.HasField("ttl") else None,
        )
        return lease_message(lease, remaining_s=self.leases.remaining_s(lease))

    def renewed(self, request: common_pb2.RenewLeaseRequest) -> common_pb2.Lease:
        """Renew the lease. Raises RefusedError."""
        lease = self.leases.renew(lease_id=request.lease_id, epoch=request.epoch)
        return lease_message(lease, remaining_s=self.leases.remaining_s(lease))

    def release(self, request: common_pb2.ReleaseLeaseRequest) -> common_pb2.ReleaseLeaseResponse:
        """End the lease and restore. Raises RefusedError."""
        self.leases.release(lease_id=request.lease_id, epoch=request.epoch)
        self.restore_if_over()
        return common_pb2.ReleaseLeaseResponse()

    def restore_if_over(self) -> None:
        """Restore what was written if no lease is live; called with each reading too."""
        if self._written and self.leases.live() is None:
            self.put_back()
            self._written = False
            self.restore_count += 1
