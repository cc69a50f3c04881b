"""The plant model of a site as the host runs it. The only file that loads the model and Numba."""

from dataclasses import asdict

from coolcap_agent.sim.config import SimConfig
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.episode import EpisodeSettings
from coolcap_envs.episode_check import check_settings
from coolcap_envs.faults.kinds import OF_SENSORS, TRIPS
from coolcap_envs.faults.plan import FaultPlan, load_plan
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site
from coolcap_envs.workload.profile import load_profile


def load_site_plant(config: SimConfig) -> SimulatedPlant:
    """Return the plant at the start of the run that ``config`` asks for.

    Raises:
        ConfigError: If a file is missing or wrong, or what it says does not fit the site.
    """
    site = load_site(config.site)
    named = EpisodeSettings(
        weather=config.weather,
        workload=config.workload,
        trace=config.trace,
        faults=config.fault_plan,
    )
    check_settings(named, site)
    plant = SimulatedPlant(site, seed=config.seed)
    plant.reset(
        config.seed,
        start_time_s=config.start_time_s,
        randomise_ratio=config.randomise_ratio,
        weather=config.weather or plant.weathers[0],
        workload=None if config.workload is None else load_profile(config.workload),
        trace=config.trace,
        faults=None if config.fault_plan is None else _plan(config.fault_plan),
    )
    return plant


def _plan(name: str) -> FaultPlan:
    """Return a plan whose faults the host can play: agents and nodes are real processes here."""
    plan = load_plan(name)
    kinds = {event.kind for event in plan.events} | {rate.kind for rate in plan.rates}
    if alien := sorted(kinds - {*TRIPS, *OF_SENSORS}):
        told = "cannot be simulated beside agents: stop or break the real one"
        raise ConfigError(plan.name, [f"{kind} {told}" for kind in alien])
    return plan


def account(plant: SimulatedPlant) -> dict[str, float]:
    """Return the exact sums of the plant model since the start of the run, by name and unit."""
    return {name: float(value) for name, value in asdict(plant.totals()).items()}
