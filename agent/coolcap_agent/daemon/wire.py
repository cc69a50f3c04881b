"""Messages both agents share, to and from what the daemons compute with."""

import math
from collections.abc import Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from coolcap_agent.daemon.guard import Guard, Restored
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.lease import Lease
from coolcap_proto.v1 import common_pb2

NANOS_PER_S = 1_000_000_000


def timestamp(time_s: float) -> Timestamp:
    """Return seconds since 1970-01-01 UTC as a Timestamp; ``time_of`` gives the same float back."""
    seconds = math.floor(time_s)
    nanos = round((time_s - seconds) * NANOS_PER_S)
    return Timestamp(seconds=seconds + nanos // NANOS_PER_S, nanos=nanos % NANOS_PER_S)


def time_of(message: Timestamp) -> float:
    """Return seconds since 1970-01-01 UTC."""
    return message.seconds + message.nanos / NANOS_PER_S


def duration(span_s: float) -> Duration:
    """Return seconds as a Duration."""
    nanos = round(span_s * NANOS_PER_S)
    return Duration(seconds=nanos // NANOS_PER_S, nanos=nanos % NANOS_PER_S)


def span_of(message: Duration) -> float:
    """Return seconds, negative if the message is."""
    return message.seconds + message.nanos / NANOS_PER_S


def optional(value: float) -> float | None:
    """Return a measured value as the wire wants it: absent instead of NaN or infinite."""
    return value if math.isfinite(value) else None


def outcome_value(outcome: Outcome) -> common_pb2.Outcome.ValueType:
    """Return an outcome as the API's enum."""
    return common_pb2.Outcome.Value(f"OUTCOME_{outcome.name}")


def lease_message(lease: Lease, *, remaining_s: float) -> common_pb2.Lease:
    """Return a lease as its holder sees it."""
    return common_pb2.Lease(
        lease_id=lease.lease_id,
        epoch=lease.epoch,
        holder=lease.holder,
        ttl=duration(lease.ttl_s),
        remaining=duration(remaining_s),
    )


def lease_status(guard: Guard) -> common_pb2.LeaseStatus:
    """Return the lease as telemetry shows it to everybody."""
    lease = guard.leases.live()
    return common_pb2.LeaseStatus(
        state=common_pb2.LeaseState.Value(f"LEASE_STATE_{guard.state.name}"),
        epoch=guard.leases.epoch,
        holder=lease.holder if lease else "",
        remaining=duration(guard.leases.remaining_s(lease)) if lease else None,
    )


def release_response(results: Sequence[Restored]) -> common_pb2.ReleaseLeaseResponse:
    """Return what became of the journaled values."""
    return common_pb2.ReleaseLeaseResponse(
        results=[
            common_pb2.RestoreResult(
                device=result.entry.device,
                lever=result.entry.lever,
                outcome=outcome_value(result.outcome),
                value=result.entry.value,
                message=result.message,
            )
            for result in results
        ]
    )


def restore_report(results: Sequence[Restored]) -> dict[str, Any]:
    """Return what became of the journaled values as plain data, for ``--json``."""
    return {
        "restored_count": sum(result.outcome is Outcome.RESTORED for result in results),
        "failed_count": sum(result.outcome is not Outcome.RESTORED for result in results),
        "results": [
            {
                "device": result.entry.device,
                "lever": result.entry.lever,
                "value": result.entry.value,
                "outcome": result.outcome.value,
                "message": result.message,
            }
            for result in results
        ],
    }


def plain(message: Message) -> dict[str, Any]:
    """Return a message as plain data under the names of the API, for ``--json``."""
    # Imported here: a daemon never needs it, and it is 3 MB of its resident memory.
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True)
