"""Answers of the controller in plain words, for terminals."""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import nan

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from coolcap_agent.controller.explain import difference_text, quantity_text
from coolcap_agent.daemon.wire import span_of, time_of
from coolcap_envs.contract.levers import GROUP_LEVERS, PLANT_LEVERS
from coolcap_envs.contract.observation import GROUP_FEATURES, PLANT_FEATURES
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS
from coolcap_proto.v1 import common_pb2, controller_pb2

_UNITS = {lever.name: lever.unit for lever in (*GROUP_LEVERS, *PLANT_LEVERS)}
_FEATURE_UNITS = {
    **{prefix + f.name: f.unit for prefix in ("", "mean_") for f in GROUP_FEATURES},
    **{f"plant_{f.name}": f.unit for f in PLANT_FEATURES},
}
_SIGNAL_UNITS = {
    "cooling_power_w": "W",
    **{signal.name: signal.unit for signal in (*GROUP_SIGNALS, *PLANT_SIGNALS)},
}
_STEPS = {
    "in_force": "in force before",
    "baseline": "the feedback rule",
    "policy": "the policy asked",
    "shielded": "the shield allowed",
    "commanded": "sent",
    "read_back": "read back",
}


def mode_text(mode: controller_pb2.Mode.ValueType) -> str:
    """Return a mode as people type it."""
    return controller_pb2.Mode.Name(mode).removeprefix("MODE_").lower()


def time_text(time: Timestamp) -> str:
    """Return an instant for people."""
    return datetime.fromtimestamp(time_of(time), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _kw(value_w: float) -> str:
    return f"{value_w / 1000.0:.2f} kW"


def status_lines(status: controller_pb2.GetStatusResponse) -> Iterable[str]:
    """Say how the controller is doing."""
    since = time_text(status.mode_start_time)
    yield f"{status.site}: {mode_text(status.mode)} since {since} ({status.mode_reason})"
    yield f"  site time    {time_text(status.site_time)}"
    loop = status.loop
    yield (
        f"  policy       {status.policy.bundle_id}, {loop.tick_count} decisions every "
        f"{span_of(loop.tick_period):g} s, {loop.missed_tick_count} without its answer; last took "
        f"{1000.0 * span_of(loop.last_tick_latency):.1f} ms, longest "
        f"{1000.0 * span_of(loop.worst_tick_latency):.1f} ms"
    )
    live = sum(a.connection == controller_pb2.CONNECTION_STATE_LIVE for a in status.agents)
    held = sum(a.lease_held for a in status.agents)
    yield f"  agents       {live} of {len(status.agents)} live, {held} leases held"
    yield from _steering_lines(status)
    yield f"  power        {_power_text(status.power)}"
    yield from _meter_lines(status.meters)
    for budget in status.budgets:
        yield f"  budget       {_budget_text(budget)}"
    if not status.problems:
        yield "  problems     none"
    for problem in status.problems:
        severity = controller_pb2.Severity.Name(problem.severity).removeprefix("SEVERITY_").lower()
        began = time_text(problem.start_time)
        yield f"  {severity:12} {problem.subject}: {problem.message} (since {began})"


def _steering_lines(status: controller_pb2.GetStatusResponse) -> Iterable[str]:
    leadership = status.leadership
    if leadership.needed_count:
        name = controller_pb2.LeadershipState.Name(leadership.state)
        state = name.removeprefix("LEADERSHIP_STATE_").lower()
        yield (
            f"  leadership   {state} ({leadership.elector}), holds {leadership.held_count} of "
            f"{leadership.agent_count} leases, {leadership.needed_count} needed: "
            f"{leadership.message}"
        )
    for arm in status.arms:
        name = controller_pb2.Arm.Name(arm.arm).removeprefix("ARM_").lower()
        known = _present(arm)
        yield (
            f"  canary       {name}: {arm.group_count} groups, "
            f"{known.get('gpu_power_w', nan):.0f} W per GPU under "
            f"{known.get('power_cap_w', nan):.0f} W, work {known.get('work_rate_ratio', nan):.3f}"
        )
    for line in override_lines(status.overrides) if status.overrides else ():
        yield f"  override     {line}"
    if status.HasField("switchback"):
        yield f"  switchback   {switchback_text(status.switchback)}"


def override_lines(overrides: Iterable[controller_pb2.OverrideStatus]) -> Iterable[str]:
    """Say what is overridden, by whom, until when and why."""
    found = list(overrides)
    if not found:
        yield "nothing is overridden"
    for one in found:
        subject = one.group or one.lever
        unit = _UNITS.get(one.lever, "W")
        value = quantity_text(one.value, unit) if one.HasField("value") else "the plant's own value"
        until = f"until {time_text(one.end_time)}" if one.HasField("end_time") else "while it lasts"
        yield f"{subject}: {value} {until}, by {one.who}: {one.reason}"


def switchback_text(one: controller_pb2.SwitchbackStatus) -> str:
    """Say who decides now, and how the turns go on."""
    plan = (
        f"{one.pair_count} pairs of blocks of {span_of(one.block) / 3600.0:g} h, washout "
        f"{span_of(one.washout) / 3600.0:g} h, seed {one.seed}, {time_text(one.start_time)} to "
        f"{time_text(one.end_time)}"
    )
    if not one.HasField("block_index"):
        return f"no block now; {plan}"
    arm = controller_pb2.Arm.Name(one.arm).removeprefix("ARM_").lower()
    washing = ", washout" if one.washing_out else ""
    return f"block {one.block_index + 1} of {2 * one.pair_count}: {arm}{washing}; {plan}"


def _present(message: Message) -> dict[str, float]:
    """Return the numbers a message has, by field."""
    return {field.name: float(value) for field, value in message.ListFields() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _power_text(power: controller_pb2.PowerStatus) -> str:
    known = _present(power)
    names = {
        "it_power_w": "IT",
        "cooling_power_w": "cooling",
        "facility_power_w": "facility",
        "it_power_bound_w": "IT at most under these caps",
    }
    parts = [f"{text} {_kw(known[name])}" for name, text in names.items() if name in known]
    return ", ".join(parts) or "not known"


def _meter_lines(meters: controller_pb2.MeterWindow) -> Iterable[str]:
    if not meters.HasField("facility_energy_kwh"):
        yield "  meters       nothing measured yet"
        return
    start, end = time_text(meters.start_time), time_text(meters.end_time)
    yield f"  meters       {start} to {end}, {100.0 * meters.coverage_ratio:.1f} % covered:"
    text = f"facility {meters.facility_energy_kwh:.2f} kWh, IT {meters.it_energy_kwh:.2f} kWh"
    if meters.HasField("pue"):
        text += f", PUE {meters.pue:.3f}, WUE {meters.wue_l_per_kwh:.2f} L/kWh"
    if meters.HasField("energy_per_work_kwh_per_gpu_h"):
        text += f", {meters.energy_per_work_kwh_per_gpu_h:.4f} kWh per GPU·h of work"
    yield f"               {text}"


def _budget_text(budget: controller_pb2.BudgetStatus) -> str:
    drawn = f"drawing {_kw(budget.power_w)}" if budget.HasField("power_w") else "draw not known"
    text = (
        f"{budget.name}: {_kw(budget.budget_w)}, {drawn}, at most {_kw(budget.power_bound_w)} "
        "with margin"
    )
    if budget.reason:
        until = f" until {time_text(budget.end_time)}" if budget.HasField("end_time") else ""
        text += f" (instead of {_kw(budget.configured_w)}{until}: {budget.reason})"
    return text


def decision_lines(decision: controller_pb2.Decision, *, inputs: bool = False) -> Iterable[str]:
    """Say why a cap or a setpoint is what it is; with ``inputs`` also what the policy saw."""
    subject = decision.group or decision.lever
    yield (
        f"{subject}, decision {decision.decision_id} at {time_text(decision.tick_time)}, mode "
        f"{mode_text(decision.mode)} ({decision.mode_reason})"
    )
    for step in decision.steps:
        unit = _UNITS.get(step.name, "")
        yield f"  {step.name}"
        known = _present(step)
        before: float | None = None
        for name, text in _STEPS.items():
            if name not in known:
                continue
            now = known[name]
            moved = before is not None and abs(now - before) > 1e-3 * max(1.0, abs(now))
            change = f"  ({difference_text(now - (before or 0.0), unit)})" if moved else ""
            yield f"    {text:20} {quantity_text(now, unit):>12}{change}"
            before = now
        for reason in step.reasons:
            yield f"    because              {reason.message}"
        if step.binding:
            yield f"    binding              {step.binding}"
        for one in decision.influences:
            yield f"    moved by             {_influence_text(one, unit)}"
    for effect in decision.effects:
        yield f"    {effect.name:20} {_effect_text(effect)}"
    for feature in decision.features if inputs else ():
        seen = f"{feature.value:.4g}" if feature.HasField("value") else "unknown"
        yield f"    saw {feature.name} = {seen}"


def _influence_text(one: controller_pb2.Influence, unit: str) -> str:
    feature = _FEATURE_UNITS.get(one.name, "")
    return (
        f"{one.name} = {quantity_text(one.value, feature)}: "
        f"{difference_text(one.effect, unit)} against {quantity_text(one.reference, feature)}, "
        f"the {one.reference_meaning}"
    )


def _effect_text(effect: controller_pb2.Effect) -> str:
    unit = _SIGNAL_UNITS.get(effect.name, "")
    known = _present(effect)

    def text(name: str) -> str:
        return quantity_text(known.get(name, nan), unit)

    said = f"{text('before')} before"
    if "expected_max" in known:
        said += f", at most {text('expected_max')} expected ({effect.message})"
    if "after" not in known:
        return said + ", not measured since"
    said += f", {text('after')} at the next decision"
    if "expected_max" in known:
        met = known["after"] <= known["expected_max"] * 1.001 + 1e-3
        said += ": as expected" if met else ": MORE than expected"
    return said


def release_lines(response: controller_pb2.ReleaseControlResponse) -> Iterable[str]:
    """Say what was handed back."""
    yield f"handed back, mode {mode_text(response.mode)}"
    if not response.agents:
        yield "  nothing was held"
    for agent in response.agents:
        restored = sum(
            result.outcome in (common_pb2.OUTCOME_RESTORED, common_pb2.OUTCOME_RESTORING)
            for result in agent.results
        )
        text = agent.message or f"{restored} of {len(agent.results)} values restored"
        yield f"  {agent.agent_id}: {text}"
