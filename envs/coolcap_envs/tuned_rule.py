"""R and Rdr: trim and respond with ceilings of its caps, all numbers tuned for one site.

They are the strongest honest opponents of a learned policy: R was tuned on the nominal plant, Rdr
under the domain randomisation a policy is trained with, both behind the shield and for the reward
of training. ``coolcap-train rule`` finds them with CMA-ES and writes ``rules/SITE.toml``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.episode import STEP_S
from coolcap_envs.moment import Moment
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.trim_respond import PUBLISHED, TrimRespond, Tuning

RULES: Final = ("R", "Rdr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where a number of the rule is searched; on a logarithmic scale if ``is_log``."""

    low: float
    high: float
    is_log: bool = False


TUNED: Final[Mapping[str, Range]] = {
    "inlet_target_below_max_k": Range(low=0.5, high=6.0),
    "air_trim_k": Range(low=0.02, high=0.4, is_log=True),
    "air_respond_k": Range(low=0.05, high=1.0, is_log=True),
    "chw_trim_ratio": Range(low=0.005, high=0.1, is_log=True),
    "chw_respond_ratio": Range(low=0.005, high=0.2, is_log=True),
    "flow_trim_ratio": Range(low=0.002, high=0.05, is_log=True),
    "flow_respond_ratio": Range(low=0.005, high=0.1, is_log=True),
    "rise_max_k": Range(low=1.0, high=6.0),
    "tower_approach_k": Range(low=2.0, high=10.0),
    "cdu_margin_k": Range(low=5.0, high=30.0),
    "cdu_delta_k": Range(low=5.0, high=20.0),
    "cap_trim_ratio": Range(low=0.001, high=0.05, is_log=True),
    "cap_trim_idle_ratio": Range(low=0.0001, high=0.02, is_log=True),
    "cap_respond_ratio": Range(low=0.005, high=0.2, is_log=True),
    "work_loss_max_ratio": Range(low=0.005, high=0.3, is_log=True),
    "latency_max_ratio": Range(low=0.3, high=1.2),
}
"""Numbers of ``Tuning`` that are tuned; the others stay as published."""
CEILING: Final = Range(low=0.4, high=1.0)
"""Highest cap of a workload class, of the highest cap of its GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedRule:
    """A rule's numbers.

    Attributes:
        tuning: Of trim and respond.
        ceiling_ratio: Highest cap by workload class, of the highest; in the order of
            ``WORKLOAD_SIGNALS``.
    """

    tuning: Tuning = PUBLISHED
    ceiling_ratio: tuple[float, ...] = (1.0,) * len(WORKLOAD_SIGNALS)


def names() -> list[str]:
    """Return the names of all tuned numbers, ceilings last."""
    return [*TUNED, *(f"ceiling_{name}" for name in WORKLOAD_SIGNALS)]


def ranges() -> list[Range]:
    """Return the range of each of :func:`names`."""
    return [*TUNED.values(), *(CEILING for _ in WORKLOAD_SIGNALS)]


def of_values(values: Sequence[float]) -> TunedRule:
    """Return the rule with these values of :func:`names`."""
    named = dict(zip(TUNED, values, strict=False))
    return TunedRule(tuning=replace(PUBLISHED, **named), ceiling_ratio=tuple(values[len(TUNED) :]))


def values_of(rule: TunedRule) -> list[float]:
    """Return the values of :func:`names`."""
    return [*(getattr(rule.tuning, name) for name in TUNED), *rule.ceiling_ratio]


class TunedRuleController:
    """Asks for a tuned rule's set points; one run through scenarios per instance.

    Args:
        rules: One rule for all members, or one per member of the batch.
        layout: The site's layout.
        limits: The site's limits.
        name: Name it is reported under.
    """

    def __init__(
        self, rules: TunedRule | Sequence[TunedRule], *, layout: Layout, limits: Limits, name: str
    ) -> None:
        self.name = name
        self._each = [rules] if isinstance(rules, TunedRule) else list(rules)
        self._ceiling = np.array([r.ceiling_ratio for r in self._each])
        self._layout, self._limits = layout, limits
        self._rule: TrimRespond | None = None

    def decide(self, moment: Moment) -> Setpoints:
        """Return the rule's set points, with caps under their ceilings."""
        telemetry = moment.telemetry
        if self._rule is None:
            self._rule = TrimRespond(
                self._layout,
                self._limits,
                tuning=stacked([r.tuning for r in self._each]),
                batch=telemetry.time_s.shape,
            )
            self._rule.track(moment.baseline)
            asked = moment.baseline
        else:
            asked = self._rule.update(telemetry, dt_s=STEP_S)
        shares = np.stack([telemetry.group(name) for name in WORKLOAD_SIGNALS], axis=-1)
        known = np.nan_to_num(shares).sum(axis=-1)
        ceiling = np.einsum("bnc,bc->bn", np.nan_to_num(shares), self._ceilings(len(shares)))
        ratio = np.where(known > 0.0, ceiling / np.maximum(known, 1e-9), 1.0)
        cap_w = np.fmin(asked.power_cap_w, ratio * self._limits.power_cap_max_w)
        cap_w = np.fmax(cap_w, self._limits.power_cap_min_w)
        limited = replace(asked, power_cap_w=cap_w)
        self._rule.track(limited)
        return limited

    def _ceilings(self, count: int) -> FloatArray:
        return np.broadcast_to(self._ceiling, (count, self._ceiling.shape[1]))


def stacked(tunings: Sequence[Tuning]) -> Tuning:
    """Return one tuning whose numbers are arrays ``[B]``, or the only one there is."""
    if len(tunings) == 1:
        return tunings[0]
    columns: dict[str, Any] = {
        f.name: np.array([getattr(t, f.name) for t in tunings]) for f in fields(Tuning)
    }
    return Tuning(**columns)


def rule_file(site: str) -> Path:
    """Return where the tuned rules of a shipped site are."""
    return Path(str(resources.files("coolcap_envs") / "rules" / f"{site}.toml"))


def load_rule(name: str, *, site: str, path: Path | None = None) -> TunedRule:
    """Return R or Rdr of a site.

    Raises:
        ConfigError: If there is none, or its file has problems; lists all of them.
    """
    file = path or rule_file(site)
    if not file.exists():
        raise ConfigError(
            str(file),
            [f"does not exist: find tuned rules with `coolcap-train rule --site {site}`"],
        )

    problems: list[str] = []
    root = Table(read_toml(file), path="", problems=problems)
    root.take("about")
    rules: dict[str, TunedRule] = {}
    for kind in RULES:
        table = root.take_table(kind)
        rules[kind] = of_values(
            [
                table.take_float(key, low=where.low, high=where.high, unit=f"({key})")
                for key, where in zip(names(), ranges(), strict=True)
            ]
        )
        table.finish()
    root.finish()
    if problems:
        raise ConfigError(str(file), problems)
    return rules[name]
