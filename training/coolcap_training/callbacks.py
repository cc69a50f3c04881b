"""What happens beside learning: metrics for TensorBoard, progress."""

from typing import Never

from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from coolcap_training.vec_env import RowAgentsVecEnv


class SiteMetrics(BaseCallback):
    """Logs the mean of every reward term and constraint cost over each rollout, per site."""

    def __init__(self, env: RowAgentsVecEnv) -> None:
        super().__init__()
        self._env = env

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        for name, value in self._env.take_metrics().items():
            self.logger.record(name, value)


class Progress(BaseCallback):
    """Shows a progress bar on standard error."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        self._bar: tqdm[Never] | None = None

    def _on_training_start(self) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=self._total,
                initial=self.num_timesteps,
                unit="sample",
                unit_scale=True,
                desc="training",
            )

    def _on_step(self) -> bool:
        if self._bar is not None:
            self._bar.update(self.training_env.num_envs)
        return True

    def _on_training_end(self) -> None:
        if self._bar is not None and self.num_timesteps >= self._total:
            self._bar.close()
