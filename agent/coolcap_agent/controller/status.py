"""The state of the controller as the operator API shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.controller.agent_address import AgentKind
from coolcap_agent.controller.budgets import Budgets
from coolcap_agent.controller.fleet import Fleet, Session
from coolcap_agent.controller.leadership import LeadershipView
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.modes import Mode, ModeState
from coolcap_agent.controller.plant_session import PlantSession
from coolcap_agent.controller.policy_runner import LoadedPolicy
from coolcap_agent.controller.problems import Problem
from coolcap_agent.controller.run_meter import (
    Window,
    caps_at_worst_w,
    cooling_power_w,
    power_bound_w,
)
from coolcap_agent.controller.session import Connection
from coolcap_agent.controller.steering_status import (
    arm_messages,
    leadership_message,
    override_message,
    switchback_message,
)
from coolcap_agent.daemon.version import agent_version
from coolcap_agent.daemon.wire import duration, optional, timestamp
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_proto.v1 import common_pb2, controller_pb2, node_agent_pb2

MODE: Final[Mapping[Mode, controller_pb2.Mode.ValueType]] = {
    mode: controller_pb2.Mode.Value(f"MODE_{mode.name}") for mode in Mode
}
_CONNECTION: Final = {
    state: controller_pb2.ConnectionState.Value(f"CONNECTION_STATE_{state.name}")
    for state in Connection
}
_KIND: Final = {
    AgentKind.NODE: controller_pb2.AGENT_KIND_NODE,
    AgentKind.PLANT: controller_pb2.AGENT_KIND_PLANT,
}
_CLASSES: Final = (
    node_agent_pb2.WORKLOAD_CLASS_TRAINING,
    node_agent_pb2.WORKLOAD_CLASS_PREFILL,
    node_agent_pb2.WORKLOAD_CLASS_DECODE,
    node_agent_pb2.WORKLOAD_CLASS_MEMORY_BOUND,
)
"""In the order of ``WORKLOAD_SIGNALS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a status is made of."""

    layout: Layout
    state: LoopState
    fleet: Fleet
    budgets: Budgets
    policy: LoadedPolicy
    work_value: float
    policy_period_s: float
    run: Window | None
    problems: tuple[Problem, ...]
    changed_s: float = 0.0
    leadership: LeadershipView | None = None


def mode_of(value: controller_pb2.Mode.ValueType) -> Mode | None:
    """Return the mode of the API's enum, None if it is none."""
    return next((mode for mode, number in MODE.items() if number == value), None)


def status_message(scene: Scene) -> controller_pb2.GetStatusResponse:
    """Return the present state."""
    state = scene.state
    return controller_pb2.GetStatusResponse(
        site=scene.layout.name,
        site_time=timestamp(float(state.telemetry.time_s)),
        mode=MODE[state.mode.mode],
        mode_reason=state.mode.reason,
        mode_start_time=timestamp(state.mode.start_time_s),
        policy=controller_pb2.PolicyStatus(
            bundle_id=scene.policy.name,
            bundle_sha256=scene.policy.graph_sha256,
            schema_hash=scene.policy.schema_hash,
            work_value=scene.work_value,
        ),
        loop=controller_pb2.LoopStatus(
            tick_count=state.tick_count,
            missed_tick_count=state.missed_count,
            last_tick_latency=duration(state.latency_s),
            worst_tick_latency=duration(state.latency_max_s),
            tick_period=duration(scene.policy_period_s),
        ),
        agents=[_agent(s) for _, s in sorted(scene.fleet.sessions.items())],
        power=controller_pb2.PowerStatus(
            it_power_w=_plant(state, "it_power_w"),
            cooling_power_w=optional(cooling_power_w(state.telemetry)),
            facility_power_w=_plant(state, "facility_power_w"),
            it_power_bound_w=power_bound_w(state.telemetry, scene.layout),
        ),
        meters=_meters(scene.run),
        budgets=[budget_message(scene, name) for name in sorted(state.limits.budget_names)],
        groups=_groups(scene),
        levers=list(_levers(scene)),
        problems=[_problem(problem) for problem in scene.problems],
        controller_version=agent_version(),
        overrides=[override_message(o) for o in sorted(state.overrides, key=lambda o: o.subject)],
        canary_ratio=state.wishes.canary_ratio,
        arms=arm_messages(state, scene.layout),
        switchback=switchback_message(state),
        change_time=timestamp(scene.changed_s) if scene.changed_s else None,
        leadership=leadership_message(scene.leadership, agent_count=len(scene.fleet.sessions)),
    )


def _plant(state: LoopState, name: str) -> float | None:
    return optional(float(state.telemetry.of_plant(name)))


def _agent(session: Session) -> controller_pb2.AgentStatus:
    held = session.lease.live
    seen = np.isfinite(session.measure_time_s)
    return controller_pb2.AgentStatus(
        agent_id=session.name,
        kind=_KIND[session.config.kind],
        address=str(session.config.address or ""),
        connection=_CONNECTION[session.connection],
        lease_held=held is not None,
        epoch=session.lease.epoch,
        lease_remaining=None if held is None else duration(session.lease.remaining_s),
        measure_time=timestamp(session.measure_time_s) if seen else None,
        message=session.problem,
    )


def _meters(window: Window | None) -> controller_pb2.MeterWindow | None:
    if window is None:
        return None
    totals = window.totals
    covered = totals.covered_s > 0.0

    def known(value: float) -> float | None:
        return optional(value) if covered else None

    return controller_pb2.MeterWindow(
        start_time=timestamp(window.start_time_s),
        end_time=timestamp(window.end_time_s),
        coverage_ratio=totals.coverage_ratio if covered else 0.0,
        it_energy_kwh=known(totals.it_energy_kwh),
        cooling_energy_kwh=known(totals.cooling_energy_kwh),
        facility_energy_kwh=known(totals.facility_energy_kwh),
        makeup_water_l=known(totals.makeup_water_l),
        carbon_kg=known(totals.carbon_kg),
        cost_usd=known(totals.cost_usd),
        work_gpu_h=known(totals.work_gpu_h),
        energy_per_work_kwh_per_gpu_h=known(totals.energy_per_work_kwh_per_gpu_h),
        pue=known(totals.pue),
        wue_l_per_kwh=known(totals.wue_l_per_kwh),
        cue_kg_per_kwh=known(totals.cue_kg_per_kwh),
    )


def budget_message(scene: Scene, name: str) -> controller_pb2.BudgetStatus:
    """Return the state of one budget."""
    state, layout = scene.state, scene.layout
    index = state.limits.budget_names.index(name)
    members = state.limits.budget_members[index]
    cap_w, other_w = (
        caps_at_worst_w(state.telemetry, layout),
        other_power_w(state.telemetry, layout),
    )
    bounds_w = worst_case_power_w(cap_w, other_w, layout, state.limits)
    configured_w = float(scene.budgets.configured.budget_w[index])
    change = scene.budgets.change(name)
    holds = change is not None and change.holds_at(float(state.telemetry.time_s))
    ends = change is not None and np.isfinite(change.end_time_s)
    return controller_pb2.BudgetStatus(
        name=name,
        budget_w=change.budget_w if change and holds else configured_w,
        configured_w=configured_w,
        power_bound_w=float(bounds_w[index]),
        power_w=optional(float(np.sum(state.telemetry.group("it_power_w")[members]))),
        end_time=timestamp(change.end_time_s) if change and ends else None,
        reason=change.reason if change else "",
    )


def _groups(scene: Scene) -> list[controller_pb2.GroupStatus]:
    state, layout = scene.state, scene.layout
    telemetry = state.telemetry
    shares = np.stack([telemetry.group(name) for name in WORKLOAD_SIGNALS], axis=-1)
    found = []
    for n, name in enumerate(layout.group_names):
        main = int(np.argmax(shares[n])) if np.any(shares[n] > 0.0) else -1
        found.append(
            controller_pb2.GroupStatus(
                group=name,
                node_ids=[layout.node_names[n]],
                gpu_count=int(layout.gpu_count[n]),
                workload_class=(
                    _CLASSES[main] if main >= 0 else node_agent_pb2.WORKLOAD_CLASS_UNSPECIFIED
                ),
                power_cap_w=optional(float(state.commanded.power_cap_w[n])),
                gpu_power_w=optional(float(telemetry.group("gpu_power_w")[n])),
                gpu_temp_max_c=optional(float(telemetry.group("gpu_temp_c")[n])),
                work_rate_ratio=optional(float(telemetry.group("work_rate_ratio")[n])),
                latency_ratio=optional(float(telemetry.group("latency_ratio")[n])),
                validity=_validity(scene, n),
            )
        )
    return sorted(found, key=lambda group: group.group)


def _validity(scene: Scene, n: int) -> common_pb2.Validity.ValueType:
    state = scene.state
    if state.verdict.groups[n]:
        return common_pb2.VALIDITY_VALID
    if state.telemetry.groups_age_s[n] > state.limits.telemetry_age_max_s:
        return common_pb2.VALIDITY_STALE
    return common_pb2.VALIDITY_FAULT


def _levers(scene: Scene) -> Iterable[controller_pb2.LeverStatus]:
    refused: Mapping[str, str] = {}
    for session in scene.fleet.sessions.values():
        if isinstance(session, PlantSession):
            refused = session.not_commandable
    for k, lever in enumerate(PLANT_LEVERS):
        if scene.layout.plant_levers[k]:
            yield controller_pb2.LeverStatus(
                lever=lever.name,
                setpoint_requested=optional(float(scene.state.commanded.plant[k])),
                setpoint_effective=optional(float(scene.state.in_force.plant[k])),
                commandable=lever.name not in refused,
                message=refused.get(lever.name, ""),
            )


def _problem(problem: Problem) -> controller_pb2.Problem:
    return controller_pb2.Problem(
        severity=controller_pb2.Severity.Value(f"SEVERITY_{problem.severity.name}"),
        subject=problem.key.subject,
        code=problem.key.code,
        message=problem.message,
        start_time=timestamp(problem.start_time_s),
    )


def mode_response(state: ModeState, *, previous: Mode) -> controller_pb2.SetModeResponse:
    """Return the answer to a change of mode."""
    return controller_pb2.SetModeResponse(
        mode=MODE[state.mode], previous_mode=MODE[previous], mode_reason=state.reason
    )
