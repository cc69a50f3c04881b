"""The whole system over one field protocol or none, and how its plant's setpoints went."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from coolcap_agent.demo.configs import CONTROL, Files, Scenario, write_configs
from coolcap_agent.demo.field import start_device
from coolcap_agent.demo.processes import Processes
from coolcap_agent.demo.run import shipped_policy
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import load_site_limits

PERIOD_S = 30.0
START_TIMEOUT_S = 240.0

Trajectory = dict[int, dict[str, float]]
"""Plant signals by time, ns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far two trajectories are apart at most.

    Attributes:
        of_levers: By lever.
        allowed: By lever: what it may move within one polling period.
        inlet_k: Of the hottest inlet.
        periods: Compared.
    """

    of_levers: dict[str, float]
    allowed: dict[str, float]
    inlet_k: float
    periods: int


def run(protocol: str, folder: Path, *, duration_s: float) -> Trajectory:
    """Run the shipped policy on lab-16 with its plant reached over ``protocol``."""
    scenario = Scenario(
        site="lab-16",
        weather=None,
        seed=1,
        start_time=datetime(2025, 7, 15, 12, tzinfo=UTC),
        duration_s=duration_s,
        speed=None,
        policy=shipped_policy(),
        work_value=2.0,
    )
    layout, limits = load_site_limits(scenario.site)
    files = write_configs(folder / "run", replace(scenario, plant=protocol), layout, limits)
    _give_time(files)
    with Processes(folder / "logs") as processes:
        processes.start("sim", "sim", "--config", str(files.configs["sim"]))
        processes.wait_for("starting the hall", files.hall.exists, timeout_s=START_TIMEOUT_S)
        start_device(processes, protocol=protocol, hall=files.hall)
        for name, config in files.configs.items():
            if name not in ("sim", CONTROL):
                kind = "plant" if name == "plant" else "node"
                processes.start(name, kind, "--config", str(config))
        processes.start(CONTROL, "control", "--config", str(files.configs[CONTROL]))
        processes.wait_for("the run", lambda: not processes.alive("sim"), timeout_s=START_TIMEOUT_S)
        processes.stop_all()
    return _read(files.telemetry)


def _give_time(files: Files) -> None:
    """Let every deadline on the host's clock be long: a busy machine must not change the run."""
    long = {
        "ttl_default_s = 3.0": "ttl_default_s = 120.0",
        "ttl_max_s = 3.0": "ttl_max_s = 120.0",
        "lease_ttl_s = 3.0": "lease_ttl_s = 120.0",
        'plant_id = "plant"': 'plant_id = "plant"\ndevice_deadline_s = 60.0',
        'points = "points.toml"': 'points = "points.toml"\n'
        "poll_deadline_s = 55.0\ncommand_deadline_s = 50.0\nsettle_s = 10.0",
        "device_instance = 4000": "device_instance = 4000\napdu_timeout_s = 5.0",
        'hall_file = "hall"': 'hall_file = "hall"\nack_timeout_s = 60.0',
    }
    for path in files.configs.values():
        text = path.read_text(encoding="utf-8")
        for short, patient in long.items():
            text = text.replace(short, patient)
        path.write_text(text, encoding="utf-8")


def _read(path: Path) -> Trajectory:
    found: Trajectory = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("plant,"):
            _, fields, time_ns = line.split(" ")
            pairs = (field.split("=") for field in fields.split(","))
            found[int(time_ns)] = {k: float(v) for k, v in pairs if not v.startswith('"')}
    return found


def compare(one: Trajectory, other: Trajectory, *, limits: Limits) -> Difference:
    """Return how far two runs are apart at the times both have."""
    times = sorted(one.keys() & other.keys())

    def apart(signal: str) -> float:
        pairs = ((one[t].get(signal), other[t].get(signal)) for t in times)
        return max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=0.0)

    levers = [
        (k, lever.name)
        for k, lever in enumerate(PLANT_LEVERS)
        if limits.lever_low[k] == limits.lever_low[k]  # NaN: the site lacks it
    ]
    per_min = (limits.lever_rise_max_per_min, limits.lever_fall_max_per_min)
    return Difference(
        of_levers={name: apart(name) for _, name in levers},
        allowed={
            name: max(float(rate[k]) for rate in per_min) * PERIOD_S / 60.0 for k, name in levers
        },
        inlet_k=apart("inlet_temp_max_c"),
        periods=len(times),
    )
