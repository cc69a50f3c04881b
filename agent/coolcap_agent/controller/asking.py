"""Asking the policy: what it sees, what it says, and how much of that is put to the shield."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.controller.fitness import Scope
from coolcap_agent.controller.loop_state import LoopState
from coolcap_agent.controller.policy_runner import PolicyFailedError, PolicyRunner
from coolcap_envs.contract.action import Action, decode
from coolcap_envs.contract.observation import Observation, encode
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray

NOVELTY_MAX: Final = 2.0
"""Inputs this many times as far out as the edge of the training: the answer is not used at all.
Bundles fade their corrections out between 1 and this; here nothing relies on that."""


@dataclass(slots=True)
class Ask:
    """What the policy said to one observation, or why it was not or could not be asked."""

    observation: Observation | None = None
    action: Action | None = None
    setpoints: Setpoints | None = None
    novelty: FloatArray | None = None
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
        ask.novelty = _novelty(answer, scope)
        ask.setpoints = decode(ask.action, baseline, state.limits)
    ask.latency_s = mono_s() - started_s
    return ask


def entrusted(ask: Ask, state: LoopState, *, authority: float, baseline: Setpoints) -> Setpoints:
    """Return the setpoints of an answer as far as it is entrusted with the hall.

    Groups and levers that are not the policy's, or whose inputs are too new to it, stay with the
    rule.

    Args:
        ask: What the policy answered.
        state: What is known.
        authority: Share of its corrections, 0 to 1: it takes over step by step.
        baseline: What the feedback rule would do.
    """
    if ask.action is None:
        return baseline
    own, levers = state.division.groups, state.division.levers
    if ask.novelty is not None:
        own = own & ~(ask.novelty[:-1] > NOVELTY_MAX)
        levers = levers and not ask.novelty[-1] > NOVELTY_MAX
    groups = ask.action.groups * authority * own[:, None]
    plant = ask.action.plant * (authority * levers)
    return decode(Action(groups=groups, plant=plant), baseline, state.limits)


def _novelty(answer: Action, scope: Scope) -> FloatArray | None:
    """Return how new each group is and, last, the plant; NaN for groups that were not asked about.

    Policies that cannot tell have no such answer.
    """
    told = answer.novelty
    if told is None:
        return None
    of_groups = scope.spread_rows(told[:-1, None], fill=np.nan)[:, 0]
    return np.append(of_groups, told[-1])


def unfit_text(problems: tuple[str, ...]) -> str:
    """Return one sentence about unfit readings."""
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"readings are unfit: {'; '.join(problems[:3])}{more}"
