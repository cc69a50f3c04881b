"""Makes the functions that control shares with the simulator compilable, for lanes and numbers.

The functions stay what they are, plain NumPy, in packages that do not know Numba. Those of
:mod:`coolcap_envs.contract.elementwise` that name one NumPy function get a twin for lanes here,
with the same answer to NaN; all others compile from their own source.
"""

# Numba's interface for extensions is not typed as it is meant to be used.
# pyright: reportArgumentType=false, reportCallIssue=false

# mypy: disable-error-code="arg-type, call-arg, untyped-decorator"

from typing import Any, Final

import numpy as np
from numba.extending import overload

from coolcap_envs import reward
from coolcap_envs.contract import action, elementwise, observation
from coolcap_envs.contract.elementwise import (
    flagged,
    higher_of,
    is_finite,
    is_nan,
    lower_of,
    where,
)
from coolcap_envs.physics import lane_types
from coolcap_envs.physics.lane_types import MASK
from coolcap_envs.physics.lanes import absolute
from coolcap_envs.safety import budget, coolant, shield, trim_respond, worth

_OPTIONS: Final[dict[str, Any]] = {"forceinline": True, "error_model": "numpy"}


def _twin(function: Any) -> Any:  # noqa: ANN401
    return overload(function, jit_options=_OPTIONS, strict=False)


@_twin(is_nan)
def _is_nan(value: Any) -> Any:  # noqa: ANN401
    return lambda value: value != value


@_twin(is_finite)
def _is_finite(value: Any) -> Any:  # noqa: ANN401
    return lambda value: absolute(value) < np.inf


@_twin(lower_of)
def _lower_of(one: Any, other: Any) -> Any:  # noqa: ANN401
    return lambda one, other: where((one <= other) | is_nan(other), one, other)


@_twin(higher_of)
def _higher_of(one: Any, other: Any) -> Any:  # noqa: ANN401
    return lambda one, other: where((one >= other) | is_nan(other), one, other)


@_twin(flagged)
def _flagged(reasons: Any, where_: Any, bit: Any) -> Any:  # noqa: ANN401
    if where_ == MASK:
        return lambda reasons, where_, bit: lane_types.select_words(
            where_, reasons | np.uint64(bit), reasons
        )
    return lambda reasons, where_, bit: reasons | bit if where_ else reasons


SHARED: Final = (
    elementwise.clip,
    elementwise.filled,
    elementwise.in_range,
    action.moved_setpoint,
    observation._place,
    observation.hold_features,
    observation.write_group_features,
    observation.write_plant_features,
    shield._at_most,
    shield._at_least,
    shield._no_warmer,
    shield.cap_below_limits_w,
    shield.cap_within_budget_w,
    shield.safe_lever,
    shield.supply_air_most_c,
    budget.group_other_power_w,
    budget.water_top_and_fall_w,
    budget.water_cap_w,
    budget.next_water,
    worth.curve_of,
    coolant.coolant_lever,
    trim_respond.is_due,
    trim_respond.next_cap_w,
    trim_respond.cooling_requests,
    trim_respond.move_levers,
    reward.excess,
    reward.heat_cost,
    reward.latency_cost,
    reward.moved_ratio,
    reward.group_reward,
    reward.site_rewards,
)
"""What compiles from its own source."""


def _register(function: Any) -> None:  # noqa: ANN401
    @_twin(function)
    def _same(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return function


for _function in SHARED:
    _register(_function)

__all__ = ["SHARED"]
