"""Reading ``options`` of ``reset``: the fields of :class:`EpisodeSettings`, nothing else."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from coolcap_envs.episode import STEP_S, EpisodeSettings
from coolcap_envs.faults.plan import FaultPlan

_NAMES = ("weather", "workload", "trace", "faults", "demand_response")
_ALLOWED = tuple(f.name for f in fields(EpisodeSettings))


def with_options(settings: EpisodeSettings, options: Mapping[str, Any] | None) -> EpisodeSettings:
    """Return ``settings`` with ``options`` in their place.

    Raises:
        ValueError: If an option is unknown or its value is not allowed; lists every problem.
    """
    given = dict(options or {})
    problems = [f"unknown option {key!r}" for key in given if key not in _ALLOWED]
    for key in _NAMES:
        kinds = (str, FaultPlan) if key == "faults" else (str,)
        if given.get(key) is not None and not isinstance(given[key], kinds):
            problems.append(f"{key} = {given[key]!r} is not a name or a file")
    if isinstance(given.get("work_value"), int | float):
        given["work_value"] = (float(given["work_value"]), float(given["work_value"]))
    if not float(given.get("duration_s", STEP_S)) >= STEP_S:
        problems.append(f"duration_s = {given['duration_s']} s is below one step of {STEP_S:g} s")
    low, high = given.get("work_value", (0.0, 0.0))
    if not 0.0 <= low <= high <= 5.0:
        problems.append(f"work_value = {low:g} to {high:g} is not a range within 0 to 5")
    if problems:
        raise ValueError(f"reset: {'; '.join(problems)}; options are {', '.join(_ALLOWED)}")
    return replace(settings, **given)
