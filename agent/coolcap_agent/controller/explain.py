"""Why a cap or a setpoint is what it is: the steps of a decision in words and numbers."""

import dataclasses
from dataclasses import dataclass
from math import isnan

import numpy as np

from coolcap_agent.clock import time_text
from coolcap_agent.controller.asking import NOVELTY_MAX
from coolcap_agent.controller.binding import binding, tightest_budget
from coolcap_agent.controller.decisions import Actor, DecisionRecord
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.switchback import Arm
from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import GROUP_LEVERS, PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES
from coolcap_envs.safety.shield import REASON_TEXT, Reason

SAME_W = 0.05
"""Differences below are not worth a word."""


class UnknownSubjectError(CoolcapError):
    """The site has no such group or lever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One reason: a stable name and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The way of one value from the rule to the device; NaN where there was nothing.

    Attributes:
        subject: Group or lever.
        quantity: Name of the value, with its unit as suffix.
        unit: Its unit.
        in_force: Before the decision.
        baseline: What the rule alone would do.
        policy: What the policy asked for.
        shielded: What the shield allowed.
        commanded: What was sent.
        read_back: What the device then held.
        whys: Why the values differ, in the order in which it happened.
        features: What the policy saw of the subject, by name.
        novelty: How far the policy's inputs lay from its training; NaN if that is not known.
        arm: Who may decide about it: the policy, or the rule alone.
        binding: Code of the constraint that sets the value; empty if none does.
    """

    subject: str
    quantity: str
    unit: str
    in_force: float
    baseline: float
    policy: float
    shielded: float
    commanded: float
    read_back: float
    whys: tuple[Why, ...]
    features: dict[str, float]
    novelty: float
    arm: Arm
    binding: str


def explain_group(record: DecisionRecord, layout: Layout, group: str) -> Explanation:
    """Explain the power cap of a control group.

    Raises:
        UnknownSubjectError: If the site has no such group.
    """
    if group not in layout.group_names:
        raise UnknownSubjectError(
            f"no control group {group!r}; site {layout.name} has {_some(layout.group_names)}"
        )
    n = layout.group_names.index(group)
    seen = record.observation
    lever = GROUP_LEVERS[0]
    asked = record.asked
    explanation = Explanation(
        subject=group,
        quantity=lever.name,
        unit=lever.unit,
        in_force=float(record.in_force.power_cap_w[n]),
        baseline=float(record.baseline.power_cap_w[n]),
        policy=float("nan") if asked is None else float(asked.power_cap_w[n]),
        shielded=float(record.shielded.setpoints.power_cap_w[n]),
        commanded=float(record.commanded.power_cap_w[n]),
        read_back=float(record.applied.setpoints.power_cap_w[n]),
        whys=(),
        features=(
            {}
            if seen is None
            else dict(zip([f.name for f in GROUP_FEATURES], seen.groups[n].tolist(), strict=True))
        ),
        novelty=float("nan") if record.novelty is None else float(record.novelty[n]),
        arm=record.division.arm_of(n),
        binding=binding(int(record.shielded.group_reasons[n])),
    )
    whys = _origin(record, explanation, fit=bool(record.groups_fit[n]))
    for reason in _reasons(int(record.shielded.group_reasons[n])):
        whys.append(Why(code=_code(reason), message=_of_group(reason, record, layout, n)))
    whys += _end(record, explanation, device=layout.node_names[n])
    return dataclasses.replace(explanation, whys=tuple(whys))


def explain_lever(record: DecisionRecord, layout: Layout, lever: str) -> Explanation:
    """Explain a setpoint of the plant.

    Raises:
        UnknownSubjectError: If the site has no such lever.
    """
    has = [x.name for x, present in zip(PLANT_LEVERS, layout.plant_levers, strict=True) if present]
    if lever not in has:
        raise UnknownSubjectError(f"no lever {lever!r}; site {layout.name} has {', '.join(has)}")
    k = PLANT_LEVER_COLUMN[lever]
    seen, asked = record.observation, record.asked
    explanation = Explanation(
        subject=lever,
        quantity=lever,
        unit=PLANT_LEVERS[k].unit,
        in_force=float(record.in_force.plant[k]),
        baseline=float(record.baseline.plant[k]),
        policy=float("nan") if asked is None else float(asked.plant[k]),
        shielded=float(record.shielded.setpoints.plant[k]),
        commanded=float(record.commanded.plant[k]),
        read_back=float(record.applied.setpoints.plant[k]),
        whys=(),
        features=(
            {}
            if seen is None
            else dict(zip([f.name for f in PLANT_FEATURES], seen.plant.tolist(), strict=True))
        ),
        novelty=float("nan") if record.novelty is None else float(record.novelty[-1]),
        arm=record.division.arm_of(None),
        binding=binding(int(record.shielded.plant_reasons[k])),
    )
    whys = _origin(record, explanation, fit=True)
    for reason in _reasons(int(record.shielded.plant_reasons[k])):
        whys.append(Why(code=_code(reason), message=_of_lever(reason, record, k)))
    whys += _end(record, explanation, device=lever)
    return dataclasses.replace(explanation, whys=tuple(whys))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _code(reason: Reason) -> str:
    return str(reason.name).lower()


def _reasons(bits: int) -> list[Reason]:
    return [reason for reason in REASON_TEXT if bits & reason]


def quantity_text(value: float, unit: str) -> str:
    """Return a value with its unit for people; a ratio in per cent."""
    if isnan(value):
        return "unknown"
    if unit == "1":
        return f"{100.0 * value:.1f} %"
    return f"{value:.0f} {unit}" if unit == "W" else f"{value:.2f} {unit}"


def difference_text(value: float, unit: str) -> str:
    """Return a difference with its unit and sign for people."""
    if unit == "°C":
        return f"{value:+.2f} K"
    if unit == "1":
        return f"{100.0 * value:+.1f} percentage points"
    return f"{value:+.0f} {unit}"


def _origin(record: DecisionRecord, e: Explanation, *, fit: bool) -> list[Why]:
    """Say where the value put to the shield came from."""
    unit = e.unit
    for override in record.overrides:
        if override.subject == e.subject:
            return [Why(code="override", message=_override_text(override, unit))]
    if record.actor is Actor.SAFE:
        what = "caps stay, cooling goes to the safer of its present and its default value"
        return [Why(code="readings_unfit", message=f"{record.failure}: {what}")]
    if record.actor is Actor.HOLD:
        return [Why(code="hold", message="mode hold: the last command stays")]
    if record.actor in (Actor.GUARD, Actor.OVERRIDE):
        text = f"between two decisions the value in force, {quantity_text(e.in_force, unit)}, was "
        return [Why(code="guard", message=text + "checked against newest readings and budgets")]
    rule = f"the feedback rule alone would set {quantity_text(e.baseline, unit)}"
    if record.actor is Actor.RULE:
        return [
            Why(code="policy_failed", message=record.failure or record.mode.reason),
            Why(code="rule", message=f"{rule}, and decides"),
        ]
    if record.actor is Actor.BASELINE or (e.arm is Arm.BASELINE and record.policy.graph_sha256):
        return [
            Why(code="arm", message=_arm_text(record)),
            Why(code="rule", message=f"{rule}, and decides"),
        ]
    if not fit:
        return [
            Why(code="rule", message=rule),
            Why(code="group_unfit", message="its readings are unfit, so the policy was not asked"),
        ]
    if not record.policy.graph_sha256:
        return [Why(code="rule", message=f"{rule}; no other policy is in use")]
    change = e.policy - e.baseline
    if isnan(change) or abs(change) < SAME_W * 1e-2:
        return [Why(code="rule", message=f"{rule}, and policy {record.policy.name} agrees")]
    asks = f"policy {record.policy.name} asks {quantity_text(e.policy, unit)}"
    whys = [
        Why(code="rule", message=rule),
        Why(code="policy", message=f"{asks}, {difference_text(change, unit)}"),
    ]
    if e.novelty > 1.0:
        what = "is not used" if e.novelty > NOVELTY_MAX else "has faded"
        far = f"its inputs lie {e.novelty:.1f} times as far out as its training: its correction"
        whys.append(Why(code="novel", message=f"{far} {what}"))
    if record.authority < 1.0:
        share = f"it takes over step by step: {100.0 * record.authority:.0f} % of that counts now"
        whys.append(Why(code="takeover", message=share))
    return whys


def _override_text(override: Override, unit: str) -> str:
    if override.by_plant:
        return f"the plant's own control has it in hand, nothing is sent: {override.reason}"
    return (
        f"{override.who} holds it at {quantity_text(override.value, unit)} until "
        f"{time_text(override.end_time_s)}: {override.reason}"
    )


def _arm_text(record: DecisionRecord) -> str:
    turn = record.division.turn
    if turn is not None and turn.arm is Arm.BASELINE:
        return f"block {turn.block + 1} of the switchback is the feedback rule's turn"
    if record.division.arm is Arm.BASELINE:
        return "the canary holds no group"
    share = f"{int(record.division.groups.sum())} of {record.division.groups.size} groups"
    return f"the policy decides about a canary of {share}, and this is not among them"


def _end(record: DecisionRecord, e: Explanation, *, device: str) -> list[Why]:
    """Say what became of it."""
    whys: list[Why] = []
    if not record.mode.mode.writes:
        whys.append(Why(code="mode", message=f"mode {record.mode.mode}: nothing is sent"))
    elif not record.leads:
        whys.append(Why(code="standby", message="another controller leads: nothing is sent"))
    whys += [
        Why(code="refused", message=refusal)
        for refusal in record.applied.refusals
        if refusal.startswith(device)
    ]
    if not isnan(e.commanded) and not isnan(e.read_back) and abs(e.commanded - e.read_back) > 0.5:
        got = f"the device then held {quantity_text(e.read_back, e.unit)}"
        whys.append(Why(code="read_back", message=got))
    return whys


def _of_group(reason: Reason, record: DecisionRecord, layout: Layout, n: int) -> str:
    """Return the shield's reason with the figures it was decided on."""
    text, limits, t = REASON_TEXT[reason], record.limits, record.telemetry
    if reason in (Reason.BUDGET, Reason.BUDGET_TOO_SMALL):
        budgets = [
            f"{name} {watts:.0f} W"
            for name, watts, members in zip(
                limits.budget_names, limits.budget_w, limits.budget_members, strict=True
            )
            if members[n]
        ]
        tight = tightest_budget(record, layout, n)
        most = f"; tightest: {tight[0]}, {100.0 * tight[1]:.1f} % used" if tight else ""
        return f"{text} (budgets over this group: {', '.join(budgets)}{most})"
    if reason is Reason.GPU_TEMP:
        gpu_c, hbm_c = float(t.group("gpu_temp_c")[n]), float(t.group("hbm_temp_c")[n])
        return (
            f"{text} (GPU {gpu_c:.1f} of {limits.gpu_temp_max_c:g} °C, "
            f"memory {hbm_c:.1f} of {limits.hbm_temp_max_c:g} °C)"
        )
    if reason is Reason.INLET_TEMP:
        inlet_c = float(t.group("inlet_temp_c")[n])
        return f"{text} (inlet {inlet_c:.1f} of {limits.inlet_temp_max_c:g} °C)"
    if reason is Reason.SLEW:
        return f"{text}: +{limits.power_cap_rise_max_w_per_min[n]:.0f} W/min"
    if reason is Reason.RANGE:
        low_w, high_w = limits.power_cap_min_w[n], limits.power_cap_max_w[n]
        return f"{text}: {low_w:.0f} to {high_w:.0f} W, narrowed by what the agent carries out"
    if reason is Reason.STALE:
        age_s = float(t.groups_age_s[n])
        return f"{text} (readings are {age_s:.0f} s old; {limits.telemetry_age_max_s:g} s allowed)"
    return text


def _of_lever(reason: Reason, record: DecisionRecord, k: int) -> str:
    text, limits, t = REASON_TEXT[reason], record.limits, record.telemetry
    unit = PLANT_LEVERS[k].unit
    if reason is Reason.INLET_TEMP:
        inlet_c = float(t.of_plant("inlet_temp_max_c"))
        return f"{text} (hottest inlet {inlet_c:.1f} of {limits.inlet_temp_max_c:g} °C)"
    if reason is Reason.SLEW:
        rise, fall = limits.lever_rise_max_per_min[k], limits.lever_fall_max_per_min[k]
        return (
            f"{text}: {difference_text(rise, unit)}/min up, {difference_text(-fall, unit)}/min down"
        )
    if reason is Reason.RANGE:
        low, high = limits.lever_low[k], limits.lever_high[k]
        return f"{text}: {quantity_text(low, unit)} to {quantity_text(high, unit)}"
    if reason is Reason.WET_BULB:
        return f"{text} (wet bulb {float(t.of_plant('wet_bulb_temp_c')):.1f} °C)"
    if reason is Reason.DEW_POINT:
        return f"{text} (dew point {float(t.of_plant('dew_point_c')):.1f} °C)"
    if reason is Reason.STALE:
        age_s = float(np.max(t.plant_age_s[np.isfinite(t.plant_age_s)], initial=0.0))
        return f"{text} (oldest reading {age_s:.0f} s; {limits.telemetry_age_max_s:g} s allowed)"
    return text
