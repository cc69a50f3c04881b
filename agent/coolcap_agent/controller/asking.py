"""Asking the policy: what it sees, what it says, and how much of that is put to the shield."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coolcap_agent.controller.division import Division
from coolcap_agent.controller.fitness import Scope
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.policy_runner import PolicyFailedError, PolicyRunner
from coolcap_envs.contract.action import Action, decode
from coolcap_envs.contract.observation import Observation, encode
from coolcap_envs.contract.setpoints import Setpoints


@dataclass(slots=True)
class Ask:
    """What the policy said to one observation, or why it was not or could not be asked."""

    observation: Observation | None = None
    action: Action | None = None
    setpoints: Setpoints | None = None
    failure: str = ""
    latency_s: float = 0.0


def ask_policy(
    runner: PolicyRunner,
    state: LoopState,
    *,
    baseline: Setpoints,
    work_value: float,
    mono_s: Callable[[], float] = time.monotonic,
) -> Ask:
    """Ask the policy about the groups whose readings are fit.

    Args:
        runner: Asks it, with a deadline.
        state: What is known.
        baseline: What the feedback rule would do.
        work_value: The operator's knob.
        mono_s: The host's monotonic clock.
    """
    verdict = state.verdict
    if not verdict.fit:
        return Ask(failure=unfit_text(verdict.problems))
    scope = Scope(verdict.groups, state.layout, state.limits)
    observation = encode(
        scope.telemetry(state.telemetry),
        baseline=scope.setpoints(baseline),
        layout=scope.layout,
        limits=scope.limits,
        work_value=work_value,
    )
    rows = scope.spread_rows(observation.groups, fill=np.nan)
    ask = Ask(observation=Observation(groups=rows, plant=observation.plant))
    started_s = mono_s()
    try:
        answer = runner.ask(observation)
    except PolicyFailedError as error:
        ask.failure = str(error)
    else:
        ask.action = scope.spread(answer)
        ask.setpoints = decode(ask.action, baseline, state.limits)
    ask.latency_s = mono_s() - started_s
    return ask


def entrusted(
    action: Action,
    *,
    division: Division,
    authority: float,
    baseline: Setpoints,
    state: LoopState,
) -> Setpoints:
    """Return the setpoints of an action as far as it is entrusted with the hall.

    Args:
        action: What the policy asks.
        division: Which groups and levers are its own; the others stay with the rule.
        authority: Share of its corrections, 0 to 1: it takes over step by step.
        baseline: What the feedback rule would do.
        state: What is known.
    """
    groups = action.groups * authority * division.groups[:, None]
    plant = action.plant * (authority * division.levers)
    return decode(Action(groups=groups, plant=plant), baseline, state.limits)


def unfit_text(problems: tuple[str, ...]) -> str:
    """Return one sentence about unfit readings."""
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"readings are unfit: {'; '.join(problems[:3])}{more}"
