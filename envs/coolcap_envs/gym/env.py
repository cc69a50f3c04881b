"""One simulated site as a Gymnasium environment."""

from typing import Any, cast

import gymnasium
from gymnasium import Space

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.episode import Episodes, EpisodeSettings
from coolcap_envs.gym.options import with_options
from coolcap_envs.gym.render import RENDER_MODES, Frame, checked_mode, picture_of
from coolcap_envs.gym.spaces import Floats, action_space, observation_space, to_action, to_arrays
from coolcap_envs.moment import Step
from coolcap_envs.reward import Weights
from coolcap_envs.site import load_site

Arrays = dict[str, Floats]


def step_infos(step: Step) -> dict[str, Any]:
    """Return what ``info`` holds after a step, each value with the batch axis first."""
    return {
        **{f"reward_{name}": value for name, value in step.reward.terms.items()},
        "costs": step.reward.costs,
        "shielded_count": step.shielded_count,
    }


def member(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Return one member's ``info`` from :func:`step_infos`."""
    return {
        key: member(value, index) if isinstance(value, dict) else value[index].item()
        for key, value in infos.items()
    }


class DataCenterEnv(gymnasium.Env[Arrays, Floats]):
    """Power caps and cooling set points of a GPU data centre, corrected around a feedback rule.

    One step is 30 s. The rule (trim and respond) always runs; an action moves its set points, the
    shield projects the result into the site's limits, and the plant follows.

    Observation (``Dict``), in physical units; names, units and bounds stand in
    :mod:`coolcap_envs.contract.observation`:

    ==========  ===========  ====================================  =====  =====
    key         shape        columns                               from   to
    ==========  ===========  ====================================  =====  =====
    groups      (N, F)       power, cap, clock, load (ratios)      0      1.5
    ..          ..           margins of GPU, memory, inlet (K)     -20    80
    ..          ..           work, latency over target, workload   0      3
    plant       (P,)         rule's set points, those in force,    0      1
    ..          ..           which levers there are (ratios)       ..     ..
    ..          ..           air and water temperatures (°C)       -30    70
    ..          ..           power, budget, equipment (ratios)     0      1.5
    ..          ..           time of day, ``work_value``           -1     5
    ==========  ===========  ====================================  =====  =====

    Action (``Box(-1, 1)``): one number per lever, power caps of the N groups first, then the
    plant's levers in the order of ``PLANT_LEVERS`` as far as the site has them. 0 is the rule, 1
    raises the lever by 0.3 of its range.

    Reward: ``work_value * work - energy - correction - costs``, all relative to the site's design
    (:mod:`coolcap_envs.reward`). ``info`` holds each term (``reward_energy``, ``reward_work``,
    ``reward_correction``), the constraint costs under ``costs`` and how many levers the shield
    changed.

    Episodes end by truncation after a day, never by termination. ``reset(options=…)`` takes the
    fields of :class:`coolcap_envs.episode.EpisodeSettings`.

    Args:
        site: Name of a shipped site or path of a ``.toml`` file.
        render_mode: ``rgb_array`` for pictures of the hall, or None.
        weights: Of corrections and costs in the reward.
        **settings: Fields of ``EpisodeSettings`` for every episode.

    Version History:
        v0: First version; numbers may still change until 1.0.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  declared so by Gymnasium
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
    }

    def __init__(
        self,
        site: str = "lab-16",
        *,
        render_mode: str | None = None,
        weights: Weights = Weights(),  # noqa: B008  frozen
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self.settings = with_options(EpisodeSettings(), settings)
        self.episodes = Episodes(load_site(site), batch_size=1, weights=weights)
        self.render_mode = checked_mode(render_mode)
        self.observation_space = cast("Space[Arrays]", observation_space(self.episodes.layout))
        self.action_space = cast("Space[Floats]", action_space(self.episodes.layout))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """Start an episode; ``options`` hold for it alone."""
        super().reset(seed=seed)
        self.episodes.start([self.np_random], settings=with_options(self.settings, options))
        return self._observation(), {}

    def step(self, action: Floats) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """Act for one control period of 30 s."""
        step = self.episodes.step(to_action(action[None], self.episodes.layout))
        reward: FloatArray = step.reward.total
        info = member(step_infos(step), 0)
        return self._observation(), float(reward[0]), False, bool(step.over[0]), info

    def render(self) -> Frame | None:
        """Return a picture of the hall, or None without a render mode."""
        return picture_of(self.episodes, 0) if self.render_mode else None

    def _observation(self) -> Arrays:
        arrays = to_arrays(self.episodes.moment)
        return {key: value[0] for key, value in arrays.items()}
