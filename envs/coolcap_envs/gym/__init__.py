"""Gymnasium environments; importing this module registers them.

``gym.make("coolcap_envs.gym:coolcap/DataCenter-v0", site="lab-16")``
"""

from typing import Final

import gymnasium

ENV_ID: Final = "coolcap/DataCenter-v0"

gymnasium.register(
    id=ENV_ID,
    entry_point="coolcap_envs.gym.env:DataCenterEnv",
    vector_entry_point="coolcap_envs.gym.vector:DataCenterVectorEnv",
)
