"""The plant model of a site as the host runs it. The only file that loads the model and Numba."""

from dataclasses import asdict

from coolcap_agent.sim.config import SimConfig
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site


def load_site_plant(config: SimConfig) -> SimulatedPlant:
    """Return the plant at the start of the run that ``config`` asks for.

    Raises:
        ConfigError: If there is no such site or weather, or the site's file has problems.
    """
    plant = SimulatedPlant(load_site(config.site), seed=config.seed)
    plant.reset(
        config.seed,
        start_time_s=config.start_time_s,
        randomise_ratio=config.randomise_ratio,
        weather=config.weather or plant.weathers[0],
    )
    return plant


def account(plant: SimulatedPlant) -> dict[str, float]:
    """Return the exact sums of the plant model since the start of the run, by name and unit."""
    return {name: float(value) for name, value in asdict(plant.totals()).items()}
