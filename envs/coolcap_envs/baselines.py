"""Controllers to compare with: caps C0, C1, C2 and the rule's, cooling B0 to B3, and policies.

A controller turns what is known at a moment into asked set points; the shield then acts on all of
them alike. ``C0+B3`` is caps C0 with cooling B3; ``rule`` is trim and respond for both, which is
also what every learned policy corrects. The tuning of trim and respond is that published in
:mod:`coolcap_envs.safety.trim_respond`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from coolcap_envs.contract.action import decode
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVER_COLUMN, PLANT_LEVERS
from coolcap_envs.contract.policy import Policy
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.moment import Moment
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.trim_respond import PUBLISHED
from coolcap_envs.tuned_rule import RULES, TunedRuleController, load_rule

STATIC_CAP_RATIO: Final = 0.80
"""C1, of the highest cap: the best of 0.40 to 1.00 in steps of 0.05 on ``lab-16``.

Found by ``coolcap-train caps`` over 12 days of training at the default ``work_value``; frozen."""
CLASS_CAP_RATIO: Final[Mapping[str, float]] = {
    "training_ratio": 0.80,
    "prefill_ratio": 0.95,
    "decode_ratio": 0.55,
    "memory_bound_ratio": 0.40,
}
"""C2, of the highest cap, by workload class; found in the same run. An oracle: it knows the class
of each group and was chosen with the simulator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCooling:
    """Set points of cooling that nobody moves.

    Attributes:
        supply_air_temp_c: Air leaving the CRAH.
        chw_supply_temp_c: Chilled water.
        cw_supply_temp_c: Condenser water; NaN follows the wet bulb with the tower's approach.
        cdu_supply_temp_c: Coolant to the cold plates.
    """

    supply_air_temp_c: float
    chw_supply_temp_c: float
    cw_supply_temp_c: float
    cdu_supply_temp_c: float


FIXED_COOLING: Final[Mapping[str, FixedCooling]] = {
    "B0": FixedCooling(
        supply_air_temp_c=18.0,
        chw_supply_temp_c=7.0,
        cw_supply_temp_c=24.0,
        cdu_supply_temp_c=25.0,
    ),
    "B1": FixedCooling(
        supply_air_temp_c=20.0,
        chw_supply_temp_c=10.0,
        cw_supply_temp_c=np.nan,
        cdu_supply_temp_c=30.0,
    ),
    "B2": FixedCooling(
        supply_air_temp_c=22.0,
        chw_supply_temp_c=14.0,
        cw_supply_temp_c=np.nan,
        cdu_supply_temp_c=35.0,
    ),
}
"""Legacy (B0) and two warmer sets, coolant of B1 and B2 as classes S30 and S35. Flows of air and
coolant stay at the site's defaults. Values
and their source: docs/explanation/baselines.md. Sites clip them to their own ranges."""

CAPS: Final = ("C0", "C1", "C2", "rule")
COOLING: Final = (*FIXED_COOLING, "B3")


class Controller(Protocol):
    """Anything that decides set points; the same for all members of a batch."""

    @property
    def name(self) -> str:
        """Return the name it is reported under."""
        ...

    def decide(self, moment: Moment) -> Setpoints:
        """Return the set points to ask for."""
        ...


class PolicyController:
    """A policy that corrects the rule."""

    def __init__(self, policy: Policy, limits: Limits, *, name: str | None = None) -> None:
        self._policy = policy
        self._limits = limits
        self.name = policy.name if name is None else name

    def decide(self, moment: Moment) -> Setpoints:
        """Return the rule's set points, corrected."""
        return decode(self._policy.act(moment.observation), moment.baseline, self._limits)


class BaselineController:
    """Caps of one baseline with cooling of another.

    Args:
        caps: One of ``CAPS``.
        cooling: One of ``COOLING``.
        layout: The site's layout.
        limits: The site's limits.
        cap_ratio: C1's cap, of the highest.
        class_cap_ratio: C2's caps by workload class, of the highest.

    Raises:
        ValueError: If there is no such baseline.
    """

    def __init__(
        self,
        *,
        caps: str,
        cooling: str,
        layout: Layout,
        limits: Limits,
        cap_ratio: float = STATIC_CAP_RATIO,
        class_cap_ratio: Mapping[str, float] = CLASS_CAP_RATIO,
    ) -> None:
        if caps not in CAPS or cooling not in COOLING:
            raise ValueError(
                f"no baseline {caps}+{cooling}: caps are {', '.join(CAPS)}, "
                f"cooling is {', '.join(COOLING)}"
            )
        self.name = "rule" if (caps, cooling) == ("rule", "B3") else f"{caps}+{cooling}"
        self._caps, self._cooling = caps, cooling
        self._layout, self._limits = layout, limits
        self._cap_ratio = cap_ratio
        self._class_ratios = np.array([class_cap_ratio[name] for name in WORKLOAD_SIGNALS])

    def decide(self, moment: Moment) -> Setpoints:
        """Return the baseline's set points, within the site's ranges."""
        return Setpoints(
            power_cap_w=self._caps_w(moment),
            sm_clock_max_mhz=np.full_like(moment.baseline.power_cap_w, np.nan),
            plant=self._plant(moment),
        )

    def _caps_w(self, moment: Moment) -> FloatArray:
        if self._caps == "rule":
            return moment.baseline.power_cap_w
        top_w = self._limits.power_cap_max_w
        if self._caps == "C0":
            cap_w = np.broadcast_to(self._layout.power_limit_default_w, top_w.shape)
        elif self._caps == "C1":
            cap_w = self._cap_ratio * top_w
        else:
            shares = np.stack([moment.telemetry.group(s) for s in WORKLOAD_SIGNALS], axis=-1)
            known = shares.sum(axis=-1)
            ratio = np.where(known > 0.0, (shares @ self._class_ratios) / known, 1.0)
            cap_w = np.where(np.isfinite(ratio), ratio, 1.0) * top_w
        cap_w = np.clip(cap_w, self._limits.power_cap_min_w, top_w)
        return np.broadcast_to(cap_w, moment.baseline.power_cap_w.shape).copy()

    def _plant(self, moment: Moment) -> FloatArray:
        if self._cooling == "B3":
            return moment.baseline.plant
        fixed = FIXED_COOLING[self._cooling]
        plant = np.broadcast_to(self._limits.lever_default, moment.baseline.plant.shape).copy()
        tower_c = moment.telemetry.of_plant("wet_bulb_temp_c") + PUBLISHED.tower_approach_k
        plant[..., PLANT_LEVER_COLUMN["supply_air_temp_setpoint_c"]] = fixed.supply_air_temp_c
        plant[..., PLANT_LEVER_COLUMN["chw_supply_temp_setpoint_c"]] = fixed.chw_supply_temp_c
        plant[..., PLANT_LEVER_COLUMN["cw_supply_temp_setpoint_c"]] = (
            tower_c if np.isnan(fixed.cw_supply_temp_c) else fixed.cw_supply_temp_c
        )
        plant[..., PLANT_LEVER_COLUMN["cdu_supply_temp_setpoint_c"]] = fixed.cdu_supply_temp_c
        present = self._layout.plant_levers[: len(PLANT_LEVERS)]
        return np.where(
            present, np.clip(plant, self._limits.lever_low, self._limits.lever_high), np.nan
        )


def baseline(name: str, *, layout: Layout, limits: Limits) -> Controller:
    """Return a baseline by its name: ``rule``, ``R``, ``Rdr`` or a pair such as ``C2+B3``.

    Raises:
        ValueError: If there is no such baseline.
        ConfigError: If the site has no tuned rules.
    """
    if name in RULES:
        rule = load_rule(name, site=layout.name)
        return TunedRuleController(rule, layout=layout, limits=limits, name=name)
    caps, _, cooling = ("rule+B3" if name == "rule" else name).partition("+")
    return BaselineController(caps=caps, cooling=cooling, layout=layout, limits=limits)
