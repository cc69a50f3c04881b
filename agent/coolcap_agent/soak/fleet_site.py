"""The site, certificates and controller's config of the simulated fleet."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from coolcap_agent import certs
from coolcap_envs.contract.config import site_path

GPUS_PER_NODE: Final = 8
NODES_PER_RACK: Final = 4
RACKS_PER_PDU: Final = 4
PDUS_PER_ROW: Final = 5
SERVER_POWER_W: Final = 10_200.0
"""Rated power of a DGX H100 (NVIDIA DGX H100 User Guide)."""
BUDGET_RATIO: Final = 0.7
"""Budget per rack over its servers' rated power; low enough that the allocator always works."""
LEASE_TTL_S: Final = 15.0
EVENT_PERIOD_S: Final = 60.0
EVENT_RATIO: Final = 0.85
"""Budget of the whole site during an event, over that of its racks together."""
OVERSUBSCRIPTION: Final = 0.99
"""Each level of the tree gets this share of what its parts may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetShape:
    """How large the fleet is.

    Attributes:
        node_count: Servers of eight GPUs.
        relay_size: Nodes behind one relay; 0: the controller has a connection with each node.
        period_s: Period of telemetry of each node.
    """

    node_count: int
    relay_size: int = 0
    period_s: float = 1.0

    @property
    def gpu_count(self) -> int:
        """Return the number of GPUs."""
        return GPUS_PER_NODE * self.node_count

    @property
    def rack_count(self) -> int:
        """Return the number of racks."""
        return -(-self.node_count // NODES_PER_RACK)

    def node_names(self) -> list[str]:
        """Return the nodes' names, as the site file numbers them."""
        return [f"node-{n:04d}" for n in range(1, self.node_count + 1)]

    def relay_names(self) -> list[str]:
        """Return the relays' names."""
        if not self.relay_size:
            return []
        return [f"relay-{n:03d}" for n in range(1, -(-self.node_count // self.relay_size) + 1)]


def site_text(shape: FleetShape) -> str:
    """Return the site file: limits and levers of ``air-1mw``, more nodes, a tree of budgets."""
    model = site_path("air-1mw").read_text(encoding="utf-8")
    limits = model[model.index("[limits]") : model.index("[[budgets]]")]
    return f"""
[layout]
name = "fleet-{shape.gpu_count}"
it_power_design_w = {SERVER_POWER_W * shape.node_count:.0f}.0
plant_levers = [
  "supply_air_temp_setpoint_c",
  "chw_supply_temp_setpoint_c",
  "cw_supply_temp_setpoint_c",
  "air_flow_setpoint_ratio",
]

[[layout.nodes]]
name = "node-{{:04d}}"
count = {shape.node_count}
nodes_per_rack = {NODES_PER_RACK}
gpu_model = "h100-sxm"
gpus_per_node = {GPUS_PER_NODE}
groups_per_node = 1
power_limit_min_w = 200.0
power_limit_max_w = 700.0
power_limit_default_w = 700.0
sm_clock_max_mhz = 1980.0
source = "as air-1mw; the size is made up"

{limits}
{_budgets(shape)}"""


def _budgets(shape: FleetShape) -> str:
    racks = [f"rack-{n:02d}" for n in range(1, shape.rack_count + 1)]
    rack_w = BUDGET_RATIO * SERVER_POWER_W * NODES_PER_RACK
    per_row = RACKS_PER_PDU * PDUS_PER_ROW
    rows = [racks[i : i + per_row] for i in range(0, len(racks), per_row)]
    half = -(-len(rows) // 2)
    tables = [_budget("site", rack_w * OVERSUBSCRIPTION**4 * len(racks), ["*"])]
    for h, part in enumerate((rows[:half], rows[half:]), start=1):
        members = [rack for row in part for rack in row]
        if members:
            tables.append(
                _budget(f"hall-{h}", rack_w * OVERSUBSCRIPTION**3 * len(members), members)
            )
    for r, row in enumerate(rows, start=1):
        tables.append(_budget(f"row-{r}", rack_w * OVERSUBSCRIPTION**2 * len(row), row))
        for p in range(0, len(row), RACKS_PER_PDU):
            pdu = row[p : p + RACKS_PER_PDU]
            name = f"pdu-{r}-{p // RACKS_PER_PDU + 1}"
            tables.append(_budget(name, rack_w * OVERSUBSCRIPTION * len(pdu), pdu))
    tables += [_budget(rack, rack_w, [rack]) for rack in racks]
    return "\n".join(tables)


def _budget(name: str, power_w: float, racks: list[str]) -> str:
    listed = ", ".join(f'"{rack}"' for rack in racks)
    return f'[[budgets]]\nname = "{name}"\npower_w = {power_w:.1f}\nracks = [{listed}]\n'


def write_folder(folder: Path, shape: FleetShape) -> None:
    """Write the site file and the certificates."""
    certs.make_pki(folder / "pki", agents=["plant"])
    (folder / "site.toml").write_text(site_text(shape), encoding="utf-8")


def write_events(folder: Path, shape: FleetShape, *, start_time_s: float, span_s: float) -> None:
    """Write events that lower the site's budget once a minute, so that every cap falls at once."""
    power_w = EVENT_RATIO * BUDGET_RATIO * SERVER_POWER_W * NODES_PER_RACK * shape.rack_count
    tables = []
    for n in range(int(span_s / EVENT_PERIOD_S) + 1):
        start = datetime.fromtimestamp(start_time_s + n * EVENT_PERIOD_S, UTC)
        end = start + timedelta(seconds=EVENT_PERIOD_S / 3.0)
        tables.append(
            f'[[events]]\nid = "{n}"\nstart = {start.isoformat()}\nend = {end.isoformat()}\n'
            f"power_w = {power_w:.1f}\nemergency = true\n"
        )
    (folder / "events.toml").write_text("\n".join(tables), encoding="utf-8")


def write_config(folder: Path, *, policy: str, plant_port: int, metrics_port: int) -> Path:
    """Write the controller's config and return its path.

    Args:
        folder: Where site, certificates and fleet file are.
        policy: Folder of a bundle, or ``rule``.
        plant_port: Where the plant agent listens.
        metrics_port: Where the controller shows its metrics.
    """
    path = folder / "control.toml"
    path.write_text(
        f"""
site = "site.toml"
state_dir = "state"
mode = "auto"
policy = "{policy}"
lease_ttl_s = {LEASE_TTL_S}

[[agents]]
name = "plant"
kind = "plant"
address = "127.0.0.1:{plant_port}"

[discovery.file]
path = "fleet.toml"

[server]
listen = "127.0.0.1:0"
certificate_file = "pki/control.crt"
key_file = "pki/control.key"
ca_file = "pki/ca.crt"

[demand_response]
floor_w = 0.0
file = "events.toml"

[telemetry]
file = "state/telemetry.lp"

[metrics]
listen = "127.0.0.1:{metrics_port}"
""",
        encoding="utf-8",
    )
    return path
