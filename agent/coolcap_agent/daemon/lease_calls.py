"""The lease calls, the same on both agents."""

import grpc

from coolcap_agent.daemon import wire
from coolcap_agent.daemon.guard import Guard
from coolcap_agent.rpc.context import CallContext
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2


class LeaseCalls:
    """Answers AcquireLease, RenewLease and ReleaseLease; a servicer inherits them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    # The names are those of the API.
    async def AcquireLease(  # noqa: N802
        self, request: common_pb2.AcquireLeaseRequest, context: CallContext
    ) -> common_pb2.Lease:
        """Grant the lease, or renew the caller's live one."""
        try:
            lease = await self._guard.acquire(
                holder=request.holder,
                instance_id=request.instance_id,
                ttl_s=wire.span_of(request.ttl) if request.HasField("ttl") else None,
            )
        except RefusedError as refused:
            await refused.end_call(context)
            raise
        return wire.lease_message(lease, remaining_s=self._guard.leases.remaining_s(lease))

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
        """End the lease and restore what was written under it."""
        try:
            results = await self._guard.release(lease_id=request.lease_id, epoch=request.epoch)
        except RefusedError as refused:
            await refused.end_call(context)
            raise
        return wire.release_response(results)

    def renewed(self, request: common_pb2.RenewLeaseRequest) -> common_pb2.Lease:
        """Renew the lease, also for sessions.

        Raises:
            RefusedError: If it is not live.
        """
        lease = self._guard.leases.renew(lease_id=request.lease_id, epoch=request.epoch)
        return wire.lease_message(lease, remaining_s=self._guard.leases.remaining_s(lease))


class WrongAgentError(RefusedError):
    """The command is meant for another agent; a unary call ends with NOT_FOUND."""

    async def end_call(self, context: CallContext) -> None:
        """End a unary call with NOT_FOUND. Never returns."""
        await context.abort(grpc.StatusCode.NOT_FOUND, str(self))


def check_addressee(field: str, *, asked: str, own: str) -> None:
    """Raise WrongAgentError if a command names another agent."""
    if asked not in ("", own):
        raise WrongAgentError(
            common_pb2.REFUSAL_REASON_INVALID,
            f"{field} {asked!r} is not this agent, which is {own!r}; correct the address book",
        )
