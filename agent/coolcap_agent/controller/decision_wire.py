"""A decision about one subject as the operator API tells it."""

from math import isfinite

from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_agent.controller.explain import Explanation
from coolcap_agent.controller.status import MODE
from coolcap_agent.daemon.wire import optional, timestamp
from coolcap_proto.v1 import common_pb2, controller_pb2


def decision_message(
    record: DecisionRecord, explanation: Explanation, *, is_group: bool
) -> controller_pb2.Decision:
    """Return a decision about one subject."""
    e = explanation
    outcome = common_pb2.OUTCOME_UNSPECIFIED
    if any(why.code == "refused" for why in e.whys):
        outcome = common_pb2.OUTCOME_NOT_VERIFIED
    elif isfinite(e.read_back):
        outcome = common_pb2.OUTCOME_APPLIED
    step = controller_pb2.DecisionStep(
        name=e.quantity,
        in_force=optional(e.in_force),
        baseline=optional(e.baseline),
        policy=optional(e.policy),
        shielded=optional(e.shielded),
        commanded=optional(e.commanded),
        read_back=optional(e.read_back),
        reasons=[
            controller_pb2.DecisionReason(code=why.code, message=why.message) for why in e.whys
        ],
        outcome=outcome,
    )
    message = controller_pb2.Decision(
        decision_id=str(record.number),
        tick_time=timestamp(record.time_s),
        mode=MODE[record.mode.mode],
        mode_reason=record.mode.reason,
        bundle_sha256=record.policy.graph_sha256,
        steps=[step],
        features=[
            controller_pb2.Feature(
                name=name,
                value=optional(value),
                validity=(
                    common_pb2.VALIDITY_VALID
                    if optional(value) is not None
                    else common_pb2.VALIDITY_NOT_MEASURED
                ),
            )
            for name, value in e.features.items()
        ],
    )
    if is_group:
        message.group = e.subject
    else:
        message.lever = e.subject
    return message
