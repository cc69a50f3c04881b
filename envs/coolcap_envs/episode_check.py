"""Checking what an episode's settings name: all problems at once, before it runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.demand_response import DemandResponse, read_schedule
from coolcap_envs.faults.plan import as_plan
from coolcap_envs.site import Site
from coolcap_envs.weather import load_weather
from coolcap_envs.workload.profile import load_profile
from coolcap_envs.workload.source import open_trace

if TYPE_CHECKING:
    from coolcap_envs.episode import EpisodeSettings


def check_settings(settings: "EpisodeSettings", site: Site) -> None:
    """Refuse settings that name files, plans or profiles that are missing, wrong or do not fit.

    Raises:
        ConfigError: With every problem of everything named.
    """
    problems: list[str] = []

    def try_out(key: str, name: str | None, use: Callable[[str], object]) -> None:
        if name is None:
            return
        try:
            use(name)
        except ConfigError as error:
            problems.extend(f"{key}: {error.origin}: {problem}" for problem in error.problems)

    def schedule(name: str) -> DemandResponse:
        return DemandResponse(read_schedule(name), site.limits, origin=name)

    def check_plan() -> None:
        if plan := as_plan(settings.faults):
            plan.check(site.layout)

    try_out("weather", settings.weather, load_weather)
    try_out("workload", settings.workload, load_profile)
    try_out("trace", settings.trace, lambda name: open_trace(name, site))
    try_out("faults", "plan", lambda _: check_plan())
    try_out("demand_response", settings.demand_response, schedule)
    if problems:
        raise ConfigError("episode settings", problems)
