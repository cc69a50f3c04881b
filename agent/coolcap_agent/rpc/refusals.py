"""Why a call is refused: one exception, said as a status code or inside a session."""

from collections.abc import Mapping
from typing import Final

import grpc

from coolcap_agent.rpc.context import CallContext
from coolcap_envs.contract.errors import CoolcapError
from coolcap_proto.v1 import common_pb2

STATUS_OF: Final[Mapping[common_pb2.RefusalReason.ValueType, grpc.StatusCode]] = {
    common_pb2.REFUSAL_REASON_NO_LEASE: grpc.StatusCode.FAILED_PRECONDITION,
    common_pb2.REFUSAL_REASON_LEASE_HELD: grpc.StatusCode.ABORTED,
    common_pb2.REFUSAL_REASON_STALE_EPOCH: grpc.StatusCode.ABORTED,
    common_pb2.REFUSAL_REASON_STALE_SEQUENCE: grpc.StatusCode.ALREADY_EXISTS,
    common_pb2.REFUSAL_REASON_INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    common_pb2.REFUSAL_REASON_PERMISSION: grpc.StatusCode.PERMISSION_DENIED,
    common_pb2.REFUSAL_REASON_NOT_READY: grpc.StatusCode.UNAVAILABLE,
    common_pb2.REFUSAL_REASON_WRONG_AGENT: grpc.StatusCode.NOT_FOUND,
}
"""The status code of each reason, as ``common.proto`` promises it."""


class RefusedError(CoolcapError):
    """A call is not carried out; ``reason`` decides what the caller does next."""

    def __init__(self, reason: common_pb2.RefusalReason.ValueType, message: str) -> None:
        self.reason = reason
        super().__init__(message)

    def message_for_session(self, *, sequence: int, epoch: int) -> common_pb2.Refusal:
        """Return the refusal as a session carries it.

        Args:
            sequence: Sequence of the refused command, 0 for a message without one.
            epoch: The agent's present epoch.
        """
        return common_pb2.Refusal(
            reason=self.reason, sequence=sequence, epoch=epoch, message=str(self)
        )

    async def end_call(self, context: CallContext) -> None:
        """End a unary call with the status code of the reason. Never returns."""
        await context.abort(STATUS_OF[self.reason], str(self))
