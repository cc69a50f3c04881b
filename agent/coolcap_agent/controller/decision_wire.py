"""A decision about one subject as the operator API tells it."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from coolcap_agent.controller.attribution import Influence, influences
from coolcap_agent.controller.decisions import DecisionLog, DecisionRecord
from coolcap_agent.controller.effects import Effect, group_effects, lever_effects
from coolcap_agent.controller.explain import Explanation, explain_group, explain_lever
from coolcap_agent.controller.status import MODE
from coolcap_agent.controller.steering_status import ARM
from coolcap_agent.daemon.wire import optional, timestamp
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN
from coolcap_proto.v1 import common_pb2, controller_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An explanation, what moved the policy, and what came of it."""

    explanation: Explanation
    influences: tuple[Influence, ...]
    effects: tuple[Effect, ...]


HISTORY_S: Final = 3600.0
"""What an input is compared with where there is only one of its kind: its mean over this time."""


def tell(log: DecisionLog, record: DecisionRecord, layout: Layout, *, subject: str) -> Told:
    """Return everything there is to say about one subject; asks the policy again.

    Raises:
        UnknownSubjectError: If the site has no such group or lever.
    """
    later = log.after(record)
    history = log.seen_before(record, span_s=HISTORY_S)
    if subject in PLANT_LEVER_COLUMN:
        k = PLANT_LEVER_COLUMN[subject]
        return Told(
            explanation=explain_lever(record, layout, subject),
            influences=influences(record, history, lever=k),
            effects=lever_effects(record, later, subject),
        )
    explanation = explain_group(record, layout, subject)
    n = layout.group_names.index(subject)
    return Told(
        explanation=explanation,
        influences=influences(record, history, group=n),
        effects=group_effects(record, later, layout, n),
    )


def decision_message(
    record: DecisionRecord, told: Told, *, is_group: bool
) -> controller_pb2.Decision:
    """Return a decision about one subject."""
    e = told.explanation
    outcome = common_pb2.OUTCOME_UNSPECIFIED
    if any(why.code == "refused" for why in e.whys):
        outcome = common_pb2.OUTCOME_NOT_VERIFIED
    elif isfinite(e.read_back):
        outcome = common_pb2.OUTCOME_APPLIED
    step = controller_pb2.DecisionStep(
        name=e.quantity,
        in_force=optional(e.in_force),
        binding=e.binding,
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
        arm=ARM[e.arm],
        novelty=optional(e.novelty),
        influences=[
            controller_pb2.Influence(
                name=one.name,
                value=one.value,
                reference=one.reference,
                effect=one.effect,
                reference_meaning=one.reference_meaning,
            )
            for one in told.influences
        ],
        effects=[
            controller_pb2.Effect(
                name=one.name,
                before=optional(one.before),
                expected_max=optional(one.expected_max),
                after=optional(one.after),
                message=one.message,
            )
            for one in told.effects
        ],
    )
    if is_group:
        message.group = e.subject
    else:
        message.lever = e.subject
    return message
