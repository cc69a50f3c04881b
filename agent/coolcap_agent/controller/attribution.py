"""Which inputs moved the policy's answer: each is replaced by a reference, one at a time.

Occlusion: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, §4.1,
applied to the features of an observation. It says what the answer would have been with a usual
value in the place of one input; inputs that act together are not told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from coolcap_agent.controller.decisions import DecisionRecord
from coolcap_envs.contract.action import Action, decode
from coolcap_envs.contract.observation import (
    GROUP_FEATURES,
    PLANT_FEATURES,
    Observation,
)
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray

INFLUENCE_COUNT: Final = 8
"""Inputs that are told, the strongest first."""
EFFECT_MIN_RATIO: Final = 0.01
"""Effects below this share of the strongest are not told."""
HISTORY_MIN_COUNT: Final = 10
"""Decisions a mean over the last hour needs; with fewer the middle of a feature's range is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """How much one input moved the answer; see the API's message of this name."""

    name: str
    value: float
    reference: float
    effect: float
    reference_meaning: str


def influences(
    record: DecisionRecord,
    history: Sequence[Observation],
    *,
    group: int | None = None,
    lever: int | None = None,
    count: int = INFLUENCE_COUNT,
) -> tuple[Influence, ...]:
    """Return which inputs moved the policy's answer about one cap or one setpoint.

    Asks the policy again, some fifty times at once; not for the loop's thread.

    Args:
        record: The decision.
        history: What the policy saw in the hour before.
        group: The group whose cap is meant, else ``lever``.
        lever: The column of the plant's lever.
        count: How many to return at most.
    """
    seen, policy = record.observation, record.policy
    fit = record.groups_fit
    if seen is None or record.asked is None or not policy.graph_sha256:
        return ()
    if group is not None and not fit[group]:
        return ()
    whole = Observation(groups=seen.groups[fit], plant=seen.plant)
    own = None if group is None else int(np.flatnonzero(fit).searchsorted(group))
    references = _references(whole, history, own=own)
    occluded = _occluded(whole, references, own=own)
    answers = _answers(policy.policy.act(occluded), record, fit)
    value = answers.power_cap_w[:, group] if lever is None else answers.plant[:, lever]
    effects = value[0] - value[1:]
    strongest = float(np.nanmax(np.abs(effects), initial=0.0))
    found = [
        Influence(
            name=one.name,
            value=one.value,
            reference=one.reference,
            effect=float(effect),
            reference_meaning=one.meaning,
        )
        for one, effect in zip(references, effects, strict=True)
        if abs(effect) >= max(EFFECT_MIN_RATIO * strongest, 1e-9)
    ]
    return tuple(sorted(found, key=lambda i: -abs(i.effect))[:count])


@dataclass(frozen=True, slots=True)
class _Reference:
    """What one input is replaced by; ``of_group`` says in which table its column is."""

    name: str
    value: float
    reference: float
    meaning: str
    of_group: bool
    column: int


def _references(
    whole: Observation, history: Sequence[Observation], *, own: int | None
) -> list[_Reference]:
    found = []
    past = len(history) >= HISTORY_MIN_COUNT
    for column, feature in enumerate(GROUP_FEATURES):
        values = whole.groups[:, column]
        if own is not None and values.size > 1:
            name, value = feature.name, float(values[own])
            reference = float(np.delete(values, own).mean())
            meaning = "mean of the other groups"
        else:
            name, value = f"mean_{feature.name}", float(values.mean())
            reference = 0.5 * (feature.low + feature.high)
            meaning = "middle of its range"
            if past:
                reference = float(np.mean([np.nanmean(o.groups[:, column]) for o in history]))
                meaning = "mean of the last hour"
        found.append(_Reference(name, value, reference, meaning, True, column))
    for column, feature in enumerate(PLANT_FEATURES):
        reference, meaning = 0.5 * (feature.low + feature.high), "middle of its range"
        if past:
            reference = float(np.mean([o.plant[column] for o in history]))
            meaning = "mean of the last hour"
        value = float(whole.plant[column])
        found.append(_Reference(f"plant_{feature.name}", value, reference, meaning, False, column))
    return found


def _occluded(
    whole: Observation, references: Sequence[_Reference], *, own: int | None
) -> Observation:
    """Return the observation as it was, then once per reference with one input replaced."""
    count = len(references) + 1
    groups = np.repeat(whole.groups[None], count, axis=0)
    plant = np.repeat(whole.plant[None], count, axis=0)
    for k, one in enumerate(references, start=1):
        if not one.of_group:
            plant[k, one.column] = one.reference
        elif own is not None:
            groups[k, own, one.column] = one.reference
        else:
            groups[k, :, one.column] += one.reference - one.value
    return Observation(groups=groups, plant=plant)


def _answers(action: Action, record: DecisionRecord, fit: BoolArray) -> Setpoints:
    """Return the setpoints of each answer, groups at their places in the whole site."""
    count = action.plant.shape[0]
    whole: FloatArray = np.zeros((count, fit.size, action.groups.shape[-1]))
    whole[:, fit] = action.groups
    return decode(Action(groups=whole, plant=action.plant), record.baseline, record.limits)
