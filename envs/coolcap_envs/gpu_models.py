"""GPU models as data: one file per model under ``sites/gpus``, each number with its source."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from coolcap_envs.contract.config import Table, read_toml
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.physics.parameters import (
    CLASS_PARAMETERS,
    GPU_LIMITS,
    GPU_PARAMETERS,
    WORKLOAD_CLASSES,
    Parameter,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """What a GPU model does under each workload class.

    Attributes:
        name: Name of the model, as in the layout of a site.
        device: Values of ``GPU_PARAMETERS`` by record field.
        limits: Values of ``GPU_LIMITS`` by name.
        classes: Values of ``CLASS_PARAMETERS`` by name, for each of ``WORKLOAD_CLASSES``.
    """

    name: str
    device: dict[str, float]
    limits: dict[str, float]
    classes: dict[str, dict[str, float]]


def take_sourced(table: Table, key: str, *, low: float, high: float, unit: str) -> float:
    """Take ``key = { value = number, source = "where it is from" }``; NaN after a problem."""
    if not table.has(key):
        table.complain(
            key, f'is missing: {{ value = {low:g} to {high:g} {unit}, source = "…" }} is needed'
        )
        return float("nan")
    part = table.take_table(key)
    value = part.take_float("value", low=low, high=high, unit=unit)
    part.take_source()
    part.finish()
    return value


def take_parameters(table: Table, parameters: tuple[Parameter, ...]) -> dict[str, float]:
    """Take every one of ``parameters`` from ``table``, by name; other keys are unknown."""
    values = {
        p.name: take_sourced(table, p.name, low=p.low, high=p.high, unit=p.unit) for p in parameters
    }
    table.finish()
    return values


def shipped_gpu_models() -> tuple[str, ...]:
    """Return the names of the GPU models that come with the package."""
    folder = resources.files("coolcap_envs") / "sites" / "gpus"
    return tuple(sorted(f.name[: -len(".toml")] for f in folder.iterdir()))


def load_gpu_model(name: str, *, path: Path | None = None) -> GpuModel:
    """Return the model ``name``, from the package or from ``path``.

    Raises:
        ConfigError: If there is no such model or its file is unusable; lists every problem.
    """
    if path is None:
        if name not in shipped_gpu_models():
            known = ", ".join(shipped_gpu_models())
            raise ConfigError(name, [f"is no GPU model that can be simulated; there are {known}"])
        path = Path(str(resources.files("coolcap_envs") / "sites" / "gpus" / f"{name}.toml"))
    root = Table(read_toml(path), path="", problems=[])
    limits = take_parameters(root.take_table("limits"), GPU_LIMITS)
    low_w, default_w, high_w = (limits[f"power_limit_{k}_w"] for k in ("min", "default", "max"))
    if not low_w <= default_w <= high_w:
        root.complain("limits.power_limit_default_w", "must lie from power_limit_min_w to _max_w")
    device = take_parameters(root.take_table("device"), GPU_PARAMETERS)
    tables = root.take_table("classes")
    classes = {
        name: take_parameters(tables.take_table(name), CLASS_PARAMETERS)
        for name in WORKLOAD_CLASSES
    }
    tables.finish()
    root.finish()
    for name, work in classes.items():
        at_knee = work["fixed_share"] + work["slope_low"] * work["power_knee_clock_ratio"]
        if at_knee >= 1.0:
            root.problems.append(
                f"classes.{name} has power {at_knee:.3f} at its knee; it must stay below 1, "
                "the power at the highest clock"
            )
    if root.problems:
        raise ConfigError(str(path), root.problems)
    return GpuModel(
        name=path.stem,
        limits=limits,
        device={p.field: device[p.name] for p in GPU_PARAMETERS},
        classes=classes,
    )
