"""What an episode hands out: the moment before a decision, and the step after it.

Most of it is asked for now and then only, so it is made when asked for.
"""

from collections.abc import Callable
from functools import cached_property

from coolcap_envs.compiled.step import Outputs
from coolcap_envs.contract.observation import Observation
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.reward import Reward
from coolcap_envs.safety.shield import Shielded


class Moment:
    """What is known when setpoints have to be decided.

    Args:
        telemetry: Gives the newest readings.
        baseline: Gives what the rule would set now.
        observation: Gives both, encoded for a policy.
        arrays: The observation in float32, if it is at hand.
    """

    def __init__(
        self,
        *,
        telemetry: Callable[[], Telemetry],
        baseline: Callable[[], Setpoints],
        observation: Callable[[], Observation],
        arrays: Outputs | None = None,
    ) -> None:
        self._telemetry, self._baseline, self._observation = telemetry, baseline, observation
        self.arrays = arrays

    @cached_property
    def telemetry(self) -> Telemetry:
        """Return the newest readings."""
        return self._telemetry()

    @cached_property
    def baseline(self) -> Setpoints:
        """Return what the rule would set now."""
        return self._baseline()

    @cached_property
    def observation(self) -> Observation:
        """Return both, encoded for a policy."""
        return self._observation()


class Step:
    """What one control step did; arrays have the batch axis ``[B]`` first.

    Args:
        reward: With its terms and costs.
        over: Which episodes ended with this step.
        shielded_count: How many levers of each plant the shield changed.
        asked: Gives the setpoints before the shield.
        shielded: Gives those after it, with reasons.
    """

    def __init__(
        self,
        *,
        reward: Reward,
        over: BoolArray,
        shielded_count: FloatArray,
        asked: Callable[[], Setpoints],
        shielded: Callable[[], Shielded],
    ) -> None:
        self.reward, self.over, self.shielded_count = reward, over, shielded_count
        self._asked, self._shielded = asked, shielded

    @cached_property
    def asked(self) -> Setpoints:
        """Return the setpoints before the shield."""
        return self._asked()

    @cached_property
    def shielded(self) -> Shielded:
        """Return those after it, with reasons."""
        return self._shielded()
