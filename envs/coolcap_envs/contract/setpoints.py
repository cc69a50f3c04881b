"""Setpoints: what shall be in force, in engineering units; Applied: what then is.

NaN means "not commanded": the device keeps its own value. N is the number of control groups,
K the number of plant levers; leading batch axes are written ``...``.
"""

from dataclasses import dataclass

import numpy as np

from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.telemetry import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoints:
    """Targets for every lever.

    Attributes:
        power_cap_w: Cap of each GPU of a group, shape ``[..., N]``.
        sm_clock_max_mhz: Highest clock of each GPU of a group, shape ``[..., N]``.
        plant: One value per lever of ``PLANT_LEVERS``, shape ``[..., K]``.
    """

    power_cap_w: FloatArray
    sm_clock_max_mhz: FloatArray
    plant: FloatArray

    @classmethod
    def none(cls, *shape: int) -> "Setpoints":
        """Return setpoints that command nothing; ``shape`` is the batch shape followed by N."""
        return cls(
            power_cap_w=np.full(shape, np.nan),
            sm_clock_max_mhz=np.full(shape, np.nan),
            plant=np.full((*shape[:-1], len(PLANT_LEVERS)), np.nan),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What the devices hold after a command, read back.

    Attributes:
        setpoints: Values in force, NaN where nothing could be read back.
        refusals: One sentence per device that did not take its command.
    """

    setpoints: Setpoints
    refusals: tuple[str, ...] = ()
