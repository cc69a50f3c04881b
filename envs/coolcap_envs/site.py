"""Sites: a plant as data. One TOML file holds layout, limits and everything the simulator needs.

Every number of ``[simulation]`` stands with its source: ``{ value = 1.2, source = "…" }``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.config import Table, read_toml, site_path
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.gpu_models import GpuModel, load_gpu_model, take_parameters, take_sourced
from coolcap_envs.grid_series import CARBON, PRICE, TIMES, Quantity, load_hourly
from coolcap_envs.physics.parameters import (
    CLASS_PARAMETERS,
    GPU_PARAMETERS,
    LIQUID_SERVER_PARAMETERS,
    PLANT_PARAMETERS,
    SERVER_PARAMETERS,
    WORKLOAD_CLASSES,
)
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import SIMULATION_TABLE, read_site_limits
from coolcap_envs.site_plant import find_devices, read_held, read_plant, read_servers
from coolcap_envs.weather import check_weather_name, load_weather
from coolcap_envs.workload.demand import WORKLOAD_PARAMETERS
from coolcap_envs.workload.profile import load_profile, with_profile
from coolcap_envs.workload.source import KINDS as TRACE_KINDS
from coolcap_envs.workload.source import check_trace

RANDOMISABLE: Final = {
    f"{p.table}.{p.name}": p
    for p in (
        *PLANT_PARAMETERS,
        *SERVER_PARAMETERS,
        *LIQUID_SERVER_PARAMETERS,
        *GPU_PARAMETERS,
        *CLASS_PARAMETERS,
    )
}
"""Parameters a site may randomise, by ``table.name``."""

_GRID: Final = (
    ("price_mean_usd_per_kwh", "USD/kWh", 0.0, 10.0),
    ("price_swing_ratio", "1", 0.0, 1.0),
    ("price_peak_hour", "h", 0.0, 24.0),
    ("carbon_mean_g_per_kwh", "g/kWh", 0.0, 2000.0),
    ("carbon_swing_ratio", "1", 0.0, 1.0),
    ("carbon_peak_hour", "h", 0.0, 24.0),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """A site as its file describes it.

    Attributes:
        layout: What stands where.
        limits: What setpoints must keep to.
        devices: Which of ``OPTIONAL_TABLES`` it has.
        held: What holds for levers it does not hand out, by name.
        parameters: Values of ``PLANT_PARAMETERS`` by record field; 0 for devices it lacks.
        servers: Values of ``SERVER_PARAMETERS`` by record field, for each GPU model.
        gpu_models: GPU models of the layout, by name.
        weathers: Names of the weather years it is simulated in; the first is the default.
        grid: Daily course of price and carbon intensity, for what no file gives.
        price_usd_per_kwh: Price of every UTC hour of a year from a file, shape ``[8760]``, or None.
        grid_carbon_g_per_kwh: The same of carbon intensity.
        workload: Values of ``WORKLOAD_PARAMETERS`` by name, for each of ``WORKLOAD_CLASSES``.
        groups_per_job: Neighbouring control groups that one generated job runs on, in step.
        trace: Recorded work that drives it, ``KIND:FILE``; None for the generator's.
        randomisation: Lowest and highest factor by ``table.name``; see ``RANDOMISABLE``.
    """

    layout: Layout
    limits: Limits
    devices: frozenset[str]
    held: Mapping[str, float]
    parameters: Mapping[str, float]
    servers: Mapping[str, Mapping[str, float]]
    gpu_models: Mapping[str, GpuModel]
    weathers: tuple[str, ...]
    grid: Mapping[str, float]
    price_usd_per_kwh: FloatArray | None
    grid_carbon_g_per_kwh: FloatArray | None
    workload: Mapping[str, Mapping[str, float]]
    groups_per_job: int
    trace: str | None
    randomisation: Mapping[str, tuple[float, float]]

    @property
    def is_liquid(self) -> bool:
        """Return whether racks are cooled by liquid."""
        return "cdu" in self.devices

    @property
    def name(self) -> str:
        """Return the name of the site."""
        return self.layout.name


def _read_workload(table: Table, folder: Path) -> tuple[dict[str, dict[str, float]], int]:
    workload = {
        name: take_parameters(table.take_table(name), WORKLOAD_PARAMETERS)
        for name in WORKLOAD_CLASSES
    }
    width = table.take_int("groups_per_job", low=1, high=10_000, default=1)
    if table.has("profile"):
        name = table.take_str("profile")
        try:
            known = load_profile(str(folder / name) if name.endswith(".toml") else name)
            workload = with_profile(workload, known)
        except ConfigError as error:
            table.problems += [f"{table.path}.profile {error.origin}: {p}" for p in error.problems]
    table.finish()
    if not sum(work["share_ratio"] for work in workload.values()) > 0.0:
        table.complain("training.share_ratio", "and those of all other classes are 0")
    return workload, width


def _read_trace(table: Table, folder: Path) -> str | None:
    """Take ``[trace]`` with ``kind``, ``file`` and ``source`` as ``KIND:FILE``; None without."""
    kind = table.take_str("kind", allowed=TRACE_KINDS)
    name = table.take_str("file")
    table.take_source()
    table.finish()
    return f"{kind}:{folder / name}" if kind and name else None


def _read_randomisation(table: Table) -> dict[str, tuple[float, float]]:
    ranges: dict[str, tuple[float, float]] = {}
    names = table.keys()
    for key in names:
        part = table.take_table(key)
        if key not in RANDOMISABLE:
            part.take_float("low", low=0.0, high=100.0, unit="(factor)")
            table.complain(f'"{key}"', f"is no parameter; there are {', '.join(RANDOMISABLE)}")
            continue
        low = part.take_float("low", low=0.05, high=1.0, unit="(factor)")
        high = part.take_float("high", low=1.0, high=10.0, unit="(factor)")
        part.take_source()
        part.finish()
        ranges[key] = (low, high)
    return ranges


def _check_devices(root: Table, layout: Layout, models: Mapping[str, GpuModel]) -> None:
    """Complain about limits of the layout that its devices do not have."""
    for name, model in models.items():
        mine = np.array([one == name for one in layout.gpu_models])
        for key, values, is_least in (
            ("power_limit_min_w", layout.power_limit_min_w, True),
            ("power_limit_max_w", layout.power_limit_max_w, False),
            ("sm_clock_max_mhz", layout.sm_clock_max_mhz, False),
        ):
            bound, found = model.limits[key], values[mine]
            if np.any(found < bound if is_least else found > bound):
                worst = found.min() if is_least else found.max()
                root.complain(
                    f"layout.nodes.{key}",
                    f"= {worst:g} is {'below' if is_least else 'above'} the {bound:g} of {name} "
                    f"(GPU model)",
                )


def _read_weathers(table: Table, folder: Path) -> tuple[str, ...]:
    names = table.take_strs("years")
    table.take_source()
    table.finish()
    if not names:
        table.complain("years", "names no weather")
    resolved = tuple(str(folder / name) if name.endswith(".epw") else name for name in names)
    for name in resolved:
        if problem := check_weather_name(name):
            table.complain("years", problem)
        elif name.endswith(".epw"):
            try:
                load_weather(name)
            except ConfigError as error:
                table.problems += [f"{table.path}.years {name}: {p}" for p in error.problems]
    return resolved


def _read_series(table: Table, key: str, quantity: Quantity, folder: Path) -> FloatArray | None:
    """Take ``[key]`` with ``file``, ``times`` and ``source``; None when it is absent."""
    if not table.has(key):
        return None
    part = table.take_table(key)
    name = part.take_str("file")
    times = part.take_str("times", allowed=TIMES, default=TIMES[0])
    part.take_source()
    part.finish()
    if not name or not times:
        return None
    try:
        return load_hourly(folder / name, quantity, times=times).values
    except ConfigError as error:
        part.problems += [f"{part.path}.file {error.origin}: {p}" for p in error.problems]
        return None


def load_site(site: str | Path) -> Site:
    """Return ``site``: a shipped site's name or a path ending in ``.toml``.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    path = site_path(str(site))
    root = Table(read_toml(path), path="", problems=[])
    layout, limits = read_site_limits(root)
    table = root.take_table(SIMULATION_TABLE)
    models = tuple(dict.fromkeys(layout.gpu_models))
    gpu_models: dict[str, GpuModel] = {}
    for model in models:
        try:
            gpu_models[model] = load_gpu_model(model)
        except ConfigError as error:
            root.problems += [f"layout.nodes.gpu_model {error.origin}: {p}" for p in error.problems]
    devices = find_devices(table)
    is_liquid = "cdu" in devices
    _check_devices(root, layout, gpu_models)
    grid = table.take_table("grid")
    workload, groups_per_job = _read_workload(table.take_table("workload"), path.parent)
    result = Site(
        layout=layout,
        limits=limits,
        devices=devices,
        held=read_held(table.take_table("held", needed=False), layout, is_liquid=is_liquid),
        parameters=read_plant(table, devices),
        servers=read_servers(table.take_table("server"), models, is_liquid=is_liquid),
        gpu_models=gpu_models,
        weathers=_read_weathers(table.take_table("weather"), path.parent),
        grid={
            key: take_sourced(grid, key, low=low, high=high, unit=unit)
            for key, unit, low, high in _GRID
        },
        price_usd_per_kwh=_read_series(grid, "price", PRICE, path.parent),
        grid_carbon_g_per_kwh=_read_series(grid, "carbon", CARBON, path.parent),
        workload=workload,
        groups_per_job=groups_per_job,
        trace=_read_trace(table.take_table("trace"), path.parent) if table.has("trace") else None,
        randomisation=_read_randomisation(table.take_table("randomisation", needed=False)),
    )
    grid.finish()
    table.finish()
    root.finish()
    if result.trace and not root.problems:
        root.problems += [
            f"{SIMULATION_TABLE}.trace {p}" for p in check_trace(result.trace, result)
        ]
    if root.problems:
        raise ConfigError(str(path), root.problems)
    return result
