"""The report: paired differences of all that matters, and the claim they support, if any."""

from dataclasses import asdict, dataclass, replace
from math import expm1, isfinite
from typing import Any, Final

import numpy as np

from coolcap_agent.clock import time_text
from coolcap_agent.controller.switchback import Arm, Plan
from coolcap_agent.savings.blocks import COUNTERS, COVARIATES, STORED, Block, blocks_of, plan_of
from coolcap_agent.savings.estimate import Estimate, adjusted, paired
from coolcap_agent.savings.log import Log
from coolcap_envs.contract.telemetry import FloatArray

PAIRS_MIN: Final = 6
"""With fewer pairs no outcome is rarer than 1 in 20 among all orders: 2 of 2^5."""
SAVING_MAX: Final = 0.5
"""Above this share a meter is wrong, not the hall better."""
DEBT_MAX_RATIO: Final = 0.1
"""Stored heat at block ends may differ by this share of what is saved."""
MAIN: Final = "energy_per_work_kwh_per_gpu_h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything the report says.

    Attributes:
        site: Name of the site.
        plan: The switchback.
        blocks: Every block, those that do not count with their problem.
        relative: Differences policy against rule, as a share: of energy per work, of each counter.
        absolute: Differences of covariates, stored heat and inlets, in their units.
        at_equal_weather: Energy per work at equal weather and work; None with too few pairs.
        debt_kwh: Stored heat at the end of the policy's blocks against the rule's, if known.
        refusals: Why the data support no claim; empty if they support one.
    """

    site: str
    plan: Plan
    blocks: tuple[Block, ...]
    relative: dict[str, Estimate]
    absolute: dict[str, Estimate]
    at_equal_weather: Estimate | None
    debt_kwh: float | None
    refusals: tuple[str, ...]

    @property
    def claim(self) -> str:
        """Return the one sentence the data support."""
        e = self.relative[MAIN]
        if self.refusals:
            return f"The data do not support a claim: {'; '.join(self.refusals)}."
        word = "less" if e.mean < 0.0 else "MORE"
        low, high = sorted((abs(e.low), abs(e.high)))
        work = self.relative["work_gpu_h"]
        return (
            f"The policy needs {_percent(abs(e.mean))} {word} facility energy per unit of work "
            f"than the feedback rule (95 % interval {_percent(low)} to {_percent(high)}, {e.count} "
            f"pairs of blocks), at {_signed(work.mean)} throughput ({_signed(work.low)} to "
            f"{_signed(work.high)})."
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything for machines; what is not known is null."""
        plan = {**asdict(self.plan), "start_time": time_text(self.plan.start_time_s)}
        found = {
            "site": self.site,
            "claim": self.claim,
            "supported": not self.refusals,
            "refusals": list(self.refusals),
            "switchback": plan,
            "relative": {name: asdict(e) for name, e in self.relative.items()},
            "absolute": {name: asdict(e) for name, e in self.absolute.items()},
            "at_equal_weather": self.at_equal_weather and asdict(self.at_equal_weather),
            "stored_heat_debt_kwh": self.debt_kwh,
            "blocks": [asdict(block) for block in self.blocks],
        }
        cleaned: dict[str, Any] = _finite(found)
        return cleaned


def make_report(site: str, log: Log, *, heat_capacity_kwh_per_k: float | None = None) -> Report:
    """Make the report of a log.

    Args:
        site: Name of the site.
        log: What was logged.
        heat_capacity_kwh_per_k: Of the hall's air, water and structure, if known.

    Raises:
        SavingsError: If the log holds no switchback.
    """
    plan = plan_of(log)
    blocks = blocks_of(log, plan)
    pairs = _pairs(blocks)

    def logs(name: str) -> FloatArray:
        """Return ln(policy) - ln(rule) of a counter per pair."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.array([np.log(p.used[name]) - np.log(b.used[name]) for p, b in pairs])

    main = logs("facility_energy_kwh") - logs("work_gpu_h")
    relative = {MAIN: _share(paired(main))}
    relative |= {name: _share(paired(logs(name))) for name in COUNTERS}
    absolute = {
        name: paired(np.array([p.covariates[name] - b.covariates[name] for p, b in pairs]))
        for name in COVARIATES
    }
    absolute |= {
        f"{name}_at_block_end": paired(
            np.array([p.stored_c[name] - b.stored_c[name] for p, b in pairs])
        )
        for name in STORED
    }
    absolute["inlet_temp_max_c"] = paired(
        np.array([p.inlet_max_c - b.inlet_max_c for p, b in pairs])
    )
    weather = np.array(
        [[p.covariates[name] - b.covariates[name] for name in COVARIATES] for p, b in pairs]
    ).reshape(len(pairs), len(COVARIATES))
    at_equal = adjusted(main, np.column_stack([weather[:, 1:], logs("work_gpu_h")]))
    debt_kwh = _debt_kwh(absolute, heat_capacity_kwh_per_k)
    report = Report(
        site=site,
        plan=plan,
        blocks=tuple(blocks),
        relative=relative,
        absolute=absolute,
        at_equal_weather=None if at_equal is None else _share(at_equal),
        debt_kwh=debt_kwh,
        refusals=(),
    )
    saved_kwh = _saved_kwh(pairs, relative[MAIN], plan)
    refusals = _refusals(report, pair_count=len(pairs), saved_kwh=saved_kwh)
    return replace(report, refusals=refusals)


def _pairs(blocks: list[Block]) -> list[tuple[Block, Block]]:
    """Return policy's and rule's block of every pair whose blocks both count."""
    by_pair: dict[int, dict[Arm, Block]] = {}
    for block in blocks:
        if not block.problem:
            by_pair.setdefault(block.pair, {})[block.arm] = block
    return [
        (of_pair[Arm.POLICY], of_pair[Arm.BASELINE])
        for _, of_pair in sorted(by_pair.items())
        if len(of_pair) == len(Arm)
    ]


def _refusals(report: Report, *, pair_count: int, saved_kwh: float) -> tuple[str, ...]:
    found = []
    e = report.relative[MAIN]
    if pair_count < PAIRS_MIN:
        found.append(f"{pair_count} pairs of blocks count, at least {PAIRS_MIN} are needed")
    if not (e.low > 0.0 or e.high < 0.0):
        found.append(
            f"the interval of the difference, {_signed(e.low)} to {_signed(e.high)}, spans zero"
        )
    elif pair_count >= PAIRS_MIN and not e.clear:
        found.append(f"chance alone gives such a difference with probability {e.p_value:.2f}")
    if abs(e.mean) > SAVING_MAX:
        found.append(f"{_signed(e.mean)} is not plausible: check the meters")
    other = report.at_equal_weather
    if other is not None and e.clear and not (other.low > 0.0 or other.high < 0.0):
        found.append(
            f"at equal weather and work the interval, {_signed(other.low)} to "
            f"{_signed(other.high)}, spans zero"
        )
    if report.debt_kwh is not None and abs(report.debt_kwh) > DEBT_MAX_RATIO * abs(saved_kwh):
        found.append(
            f"heat stored at block ends differs by {report.debt_kwh:+.2f} kWh, more than a tenth "
            f"of the {abs(saved_kwh):.2f} kWh saved per block: longer blocks are needed"
        )
    return tuple(found)


def _saved_kwh(pairs: list[tuple[Block, Block]], e: Estimate, plan: Plan) -> float:
    """Return what a block of the policy saves."""
    if not pairs or not isfinite(e.mean):
        return 0.0
    mean_kw = float(np.mean([rule.used["facility_energy_kwh"] for _, rule in pairs]))
    return -e.mean * mean_kw * (plan.block_s - plan.washout_s) / 3600.0


def _debt_kwh(absolute: dict[str, Estimate], heat_capacity_kwh_per_k: float | None) -> float | None:
    """Return heat stored at the end of the policy's blocks beyond that of the rule's."""
    if heat_capacity_kwh_per_k is None:
        return None
    ends = [absolute[f"{name}_at_block_end"].mean for name in STORED]
    known = [value for value in ends if isfinite(value)]
    return heat_capacity_kwh_per_k * float(np.mean(known)) if known else None


def _share(e: Estimate) -> Estimate:
    """Return a difference of logarithms as a share."""
    return Estimate(
        mean=expm1(e.mean) if isfinite(e.mean) else e.mean,
        low=expm1(e.low),
        high=expm1(e.high) if isfinite(e.high) else e.high,
        p_value=e.p_value,
        count=e.count,
    )


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _signed(share: float) -> str:
    # Adding 0 turns a rounded -0 into 0.
    return f"{round(100.0 * share, 1) + 0.0:+.1f} %"


def _finite(value: Any) -> Any:  # noqa: ANN401 - anything JSON can hold
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
