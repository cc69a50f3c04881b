"""What was decided, from what, and what became of it: kept in memory and on disk."""

import json
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_agent.clock import time_text
from coolcap_agent.controller.division import Division
from coolcap_agent.controller.modes import ModeState
from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.policy_runner import LoadedPolicy
from coolcap_agent.sink.rotating_file import RotatingFile
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.observation import Observation
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.shield import Reason, Shielded

DECISION_KEEP_COUNT: Final = 2880
"""Decisions kept in memory: a day at one per 30 s …"""
DECISION_KEEP_BYTES: Final = 100_000_000
"""… or as many as fit into this, in a large hall."""
RECORD_BYTES_PER_GROUP: Final = 450
"""Of a decision: 17 readings, 16 features and a dozen setpoints and reasons of 8 bytes, ages."""
DECIMALS: Final = 4
"""Of values in the file: 0.1 mW, 0.1 mK."""
FILE_BYTES_MAX: Final = 128 * 1024 * 1024
FILE_KEEP_COUNT: Final = 8


class Actor(StrEnum):
    """Where the setpoints came from that were put to the shield."""

    POLICY = "policy"
    """The policy's correction of the rule."""
    RULE = "rule"
    """The feedback rule, because the policy failed or stands back."""
    BASELINE = "baseline"
    """The feedback rule, because it is its turn in a switchback, or no group is the policy's."""
    SAFE = "safe"
    """Safe setpoints, because readings are unfit."""
    HOLD = "hold"
    """What was commanded last."""
    GUARD = "guard"
    """Nobody: what is in force was checked between two decisions."""
    OVERRIDE = "override"
    """A person, between two decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One decision, whole. Arrays are of the site; NaN where there is nothing.

    Attributes:
        number: Counts the decisions since the start of the controller.
        telemetry: What was known.
        limits: Site limits with the budgets in force.
        mode: Mode it was made in.
        actor: Where the setpoints came from.
        policy: Which policy was asked.
        failure: Why the policy's answer was not used; empty if it was.
        groups_fit: Groups whose readings could be used, shape ``[N]``.
        observation: What the policy saw; None if it was not asked.
        baseline: What the feedback rule alone would do.
        asked: What the policy asked for; None if it gave no usable answer.
        division: Which groups and levers were the policy's.
        authority: Share of the policy's corrections that was put to the shield, 0 to 1.
        overrides: Values in the hand of people or of the plant's own control.
        leads: Whether this controller might command.
        novelty: How far the policy's inputs lay from its training, of each group and, last, of the
            plant, 1 at its edge; None if that is not known.
        in_force: What the devices held before.
        shielded: What the shield allowed, and why.
        commanded: What was sent; all NaN if nothing was.
        applied: What was read back.
        policy_latency_s: Time the policy took.
        latency_s: Time from telemetry to the agents' answers.
    """

    number: int
    telemetry: Telemetry
    limits: Limits
    mode: ModeState
    actor: Actor
    policy: LoadedPolicy
    failure: str
    groups_fit: BoolArray
    observation: Observation | None
    baseline: Setpoints
    asked: Setpoints | None
    division: Division
    authority: float
    overrides: tuple[Override, ...]
    leads: bool
    novelty: FloatArray | None
    in_force: Setpoints
    shielded: Shielded
    commanded: Setpoints
    applied: Applied
    policy_latency_s: float
    latency_s: float

    @property
    def time_s(self) -> float:
        """Return the site time of the decision."""
        return float(self.telemetry.time_s)


class DecisionLog:
    """The newest decisions in memory, all of them in a file of JSON lines.

    Args:
        layout: The site's layout.
        path: The file; older ones are set aside beside it. None: memory only.
        keep_count: Decisions kept in memory at most.
    """

    def __init__(
        self, layout: Layout, path: Path | None, *, keep_count: int = DECISION_KEEP_COUNT
    ) -> None:
        self._layout = layout
        fits = DECISION_KEEP_BYTES // (RECORD_BYTES_PER_GROUP * layout.group_count)
        self._kept: deque[DecisionRecord] = deque(maxlen=min(keep_count, fits))
        self._lock = threading.Lock()
        self._file: RotatingFile | None = None
        if path is not None:
            self._file = RotatingFile(path, bytes_max=FILE_BYTES_MAX, keep_count=FILE_KEEP_COUNT)
        self._problem = ""

    @property
    def problem(self) -> str:
        """Return why the file cannot be written; empty if it can."""
        return self._problem

    def add(self, record: DecisionRecord) -> None:
        """Keep a decision."""
        with self._lock:
            self._kept.append(record)
        if self._file is None:
            return
        line = json.dumps(as_json(record, self._layout), separators=(",", ":"), allow_nan=False)
        try:
            self._file.append(line.encode() + b"\n")
        except OSError as error:
            self._problem = f"decisions cannot be written to {self._file.path}: {error.strerror}"
        else:
            self._problem = ""

    def at(self, time_s: float | None) -> DecisionRecord | None:
        """Return the last decision at or before a site time; None: the newest."""
        with self._lock:
            for record in reversed(self._kept):
                if time_s is None or record.time_s <= time_s:
                    return record
        return None

    def kept(self) -> list[DecisionRecord]:
        """Return the decisions kept, the oldest first."""
        with self._lock:
            return list(self._kept)

    def after(self, record: DecisionRecord) -> DecisionRecord | None:
        """Return the first decision of a policy tick after ``record`` that is kept."""
        with self._lock:
            later = [r for r in self._kept if r.number > record.number]
        return later[0] if later else None

    def seen_before(self, record: DecisionRecord, *, span_s: float) -> list[Observation]:
        """Return what the policy saw in the time before ``record``."""
        with self._lock:
            return [
                r.observation
                for r in self._kept
                if r.observation is not None and 0.0 < record.time_s - r.time_s <= span_s
            ]

    def span_s(self) -> tuple[float, float] | None:
        """Return the site times of the oldest and newest decision kept."""
        with self._lock:
            if not self._kept:
                return None
            return self._kept[0].time_s, self._kept[-1].time_s

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@cache
def reason_codes(bits: int) -> tuple[str, ...]:
    """Return the stable names of the shield's reasons in ``bits``."""
    return tuple(str(reason.name).lower() for reason in Reason if bits & reason)


def _number(value: float) -> float | None:
    return round(value, DECIMALS) if isfinite(value) else None


def _numbers(values: FloatArray) -> list[float | None]:
    finite = np.isfinite(values).all()
    rounded: list[float | None] = np.round(values, DECIMALS).tolist()
    return rounded if finite else [_number(value) for value in values.tolist()]


def as_json(record: DecisionRecord, layout: Layout) -> dict[str, object]:
    """Return a decision as one JSON object; what is not known is null."""
    asked, seen, turn = record.asked, record.observation, record.division.turn
    novelty = record.novelty
    nothing: list[float | None] = [None] * layout.group_count
    columns: dict[str, Sequence[object]] = {
        "fit": record.groups_fit.tolist(),
        "in_force_w": _numbers(record.in_force.power_cap_w),
        "baseline_w": _numbers(record.baseline.power_cap_w),
        "policy_w": nothing if asked is None else _numbers(asked.power_cap_w),
        "shielded_w": _numbers(record.shielded.setpoints.power_cap_w),
        "commanded_w": _numbers(record.commanded.power_cap_w),
        "read_back_w": _numbers(record.applied.setpoints.power_cap_w),
        "reasons": [reason_codes(bits) for bits in record.shielded.group_reasons.tolist()],
        "novelty": nothing if novelty is None else _numbers(novelty[:-1]),
        "arm": [record.division.arm_of(n) for n in range(layout.group_count)],
        "features": nothing if seen is None else [_numbers(row) for row in seen.groups],
    }
    groups = {
        name: {key: values[n] for key, values in columns.items()}
        for n, name in enumerate(layout.group_names)
    }
    levers = {}
    for k, lever in enumerate(PLANT_LEVERS):
        if not layout.plant_levers[k]:
            continue
        levers[lever.name] = {
            "in_force": _number(record.in_force.plant[k]),
            "baseline": _number(record.baseline.plant[k]),
            "policy": None if asked is None else _number(asked.plant[k]),
            "shielded": _number(record.shielded.setpoints.plant[k]),
            "commanded": _number(record.commanded.plant[k]),
            "read_back": _number(record.applied.setpoints.plant[k]),
            "reasons": reason_codes(int(record.shielded.plant_reasons[k])),
        }
    return {
        "number": record.number,
        "time": time_text(record.time_s),
        "mode": record.mode.mode,
        "mode_reason": record.mode.reason,
        "actor": record.actor,
        "policy": record.policy.name,
        "graph_sha256": record.policy.graph_sha256,
        "failure": record.failure,
        "leads": record.leads,
        "authority": _number(record.authority),
        "turn": None if turn is None else {**asdict(turn), "pair": turn.pair},
        "overrides": {o.subject: _number(o.value) for o in record.overrides},
        "policy_latency_s": _number(record.policy_latency_s),
        "latency_s": _number(record.latency_s),
        "refusals": list(record.applied.refusals),
        "budgets_w": dict(
            zip(record.limits.budget_names, _numbers(record.limits.budget_w), strict=True)
        ),
        "plant_features": None if seen is None else _numbers(seen.plant),
        "groups": groups,
        "levers": levers,
    }
