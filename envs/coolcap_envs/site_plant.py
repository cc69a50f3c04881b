"""What a site's file says of its plant: which devices there are, and their numbers."""

from coolcap_envs.contract.config import Table
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.gpu_models import take_parameters, take_sourced
from coolcap_envs.physics.parameters import (
    LIQUID_SERVER_PARAMETERS,
    LIQUID_TABLES,
    OPTIONAL_TABLES,
    PLANT_PARAMETERS,
    SERVER_PARAMETERS,
)
from coolcap_envs.physics.records import SUBSTEP_S


def read_plant(table: Table, devices: frozenset[str]) -> dict[str, float]:
    """Take the numbers of all devices; those of devices it lacks are 0."""
    values: dict[str, float] = {}
    for name in dict.fromkeys(p.table for p in PLANT_PARAMETERS):
        rows = tuple(p for p in PLANT_PARAMETERS if p.table == name)
        if name in OPTIONAL_TABLES and name not in devices:
            values |= {p.field: 0.0 for p in rows}
            continue
        part = take_parameters(table.take_table(name), rows)
        values |= {f"{name}_{key}": value for key, value in part.items()}
    for key in ("hall.recirculation_{}_ratio", "chiller_map.chw_{}_c", "chiller_map.cw_{}_c"):
        ends = ("low", "high") if "hall" in key else ("min", "max")
        low, high = (values[key.format(end).replace(".", "_")] for end in ends)
        if low > high:
            table.complain(key.format(ends[0]), f"= {low:g} exceeds the highest, {high:g}")
    for loop in ("cdu", "facility_water"):
        mass_kg, passed_kg = (
            values[f"{loop}_supply_mass_kg"],
            2.0 * SUBSTEP_S * values[f"{loop}_flow_design_kg_per_s"],
        )
        if mass_kg < passed_kg:
            table.complain(
                f"{loop}.supply_mass_kg",
                f"= {mass_kg:g} kg is less than the {passed_kg:g} kg that pass in "
                f"{2.0 * SUBSTEP_S:g} s at flow_design_kg_per_s; the simulation needs that much",
            )
    return values


def find_devices(table: Table) -> frozenset[str]:
    """Return which of ``OPTIONAL_TABLES`` the site has."""
    found = frozenset(name for name in OPTIONAL_TABLES if table.has(name))
    liquid = [name for name in LIQUID_TABLES if name in found]
    if liquid and (missing := [name for name in LIQUID_TABLES if name not in found]):
        table.complain(
            f"{liquid[0]}",
            f"needs {', '.join(missing)} beside it: liquid cooling takes all of them",
        )
    return found


def read_held(table: Table, layout: Layout, *, is_liquid: bool) -> dict[str, float]:
    """Take what holds for levers that the site's controls do not hand out."""
    held: dict[str, float] = {}
    for lever, is_there in zip(PLANT_LEVERS, layout.plant_levers, strict=True):
        if lever.name.startswith("cdu_") and not is_liquid:
            if is_there:
                table.complain(
                    lever.name, "is a lever of the layout, but the site has no [simulation.cdu]"
                )
        elif not is_there:
            held[lever.name] = take_sourced(
                table, lever.name, low=lever.low, high=lever.high, unit=lever.unit
            )
    table.finish()
    return held


def read_servers(
    table: Table, models: tuple[str, ...], *, is_liquid: bool
) -> dict[str, dict[str, float]]:
    """Take what stands around each GPU model."""
    servers: dict[str, dict[str, float]] = {}
    rows = (*SERVER_PARAMETERS, *LIQUID_SERVER_PARAMETERS) if is_liquid else SERVER_PARAMETERS
    for model in models:
        part = take_parameters(table.take_table(model), rows)
        servers[model] = {f"server_{key}": value for key, value in part.items()}
    table.finish()
    return servers
