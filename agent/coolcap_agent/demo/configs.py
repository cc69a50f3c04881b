"""Configs of a demonstration: one file per process, as an operator would write them."""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coolcap_agent.certs import make_pki
from coolcap_agent.demo.field import SIMULATED, driver_lines
from coolcap_agent.demo.processes import free_port
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.safety.limits import Limits

PERIOD_S = 30.0
"""Site time between decisions, and between readings."""
LEASE_TTL_S = 3.0
"""Real time: short, so that one can watch leases expire when a process is killed."""
PLANT, CONTROL, OPERATOR = "plant", "control", "operator"
CONSOLE, TOKEN_FILE = "console", "console.tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What to demonstrate.

    Attributes:
        site: A shipped site's name, or a path ending in ``.toml``.
        weather: Weather of the site, or None for its first.
        seed: Of workload, sensors and weather's choice.
        start_time: Site time of the start.
        duration_s: Site time to simulate.
        speed: Site seconds per real second at most; None: as fast as the daemons follow.
        policy: Bundle folder, or ``rule``.
        work_value: Per cent of energy one per cent of throughput is worth.
        plant: How the plant agent reaches the hall, one of ``PROTOCOLS``.
        console: Whether the controller shows its web console.
    """

    site: str
    weather: str | None
    seed: int
    start_time: datetime
    duration_s: float
    speed: float | None
    policy: str
    work_value: float
    plant: str = SIMULATED
    console: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where everything of a demonstration is. ``configs`` maps process name to its file."""

    folder: Path
    configs: dict[str, Path]
    control_port: int
    console_port: int

    @property
    def console_token(self) -> str:
        """Return what signs in to the web console."""
        return (self.folder / TOKEN_FILE).read_text(encoding="utf-8").split()[1]

    @property
    def hall(self) -> Path:
        """Return the shared hall."""
        return self.folder / "hall"

    @property
    def truth(self) -> Path:
        """Return what the simulation host writes at the end."""
        return self.folder / "truth.json"

    @property
    def telemetry(self) -> Path:
        """Return the telemetry log of the controller."""
        return self.folder / "telemetry.lp"


def _text(value: object) -> str:
    """Return a value as TOML; JSON texts, numbers and lists of texts are TOML, too."""
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _lines(**values: object) -> str:
    return "".join(f"{key} = {_text(value)}\n" for key, value in values.items())


def _server(name: str, port: int) -> str:
    return "\n[server]\n" + _lines(
        listen=f"127.0.0.1:{port}",
        certificate_file=f"pki/{name}.crt",
        key_file=f"pki/{name}.key",
        ca_file="pki/ca.crt",
    )


_CLOCK = '\n[clock]\nsimulated = "hall"\n'
_DRIVER = '\n[driver]\nname = "simulated"\n\n[driver.simulated]\nhall = "hall"\n'
_LEASE = "\n[lease]\n" + _lines(ttl_default_s=LEASE_TTL_S, ttl_max_s=LEASE_TTL_S)


def _node(node: str, port: int) -> str:
    head = _lines(node_id=node, state_dir=f"state/{node}", sample_period_s=PERIOD_S)
    limits = '\n[limits]\nallowed_gpus = ["*"]\n'
    return head + _server(node, port) + _LEASE + _CLOCK + limits + _DRIVER


def _plant(limits: Limits, port: int, protocol: str) -> str:
    # The hall's own loops take a step; so setpoints are back as soon as a lease has ended.
    head = _lines(
        plant_id=PLANT, state_dir=f"state/{PLANT}", sample_period_s=PERIOD_S, ramp_back=False
    )
    parts = [head, _server(PLANT, port), _LEASE, _CLOCK]
    for k, lever in enumerate(PLANT_LEVERS):
        if limits.lever_low[k] == limits.lever_low[k]:  # NaN: the site lacks it
            parts.append(
                f"\n[limits.levers.{lever.name}]\n"
                + _lines(
                    low=float(limits.lever_low[k]),
                    high=float(limits.lever_high[k]),
                    default=float(limits.lever_default[k]),
                    rise_max_per_min=float(limits.lever_rise_max_per_min[k]),
                    fall_max_per_min=float(limits.lever_fall_max_per_min[k]),
                )
            )
    return "".join([*parts, _DRIVER if protocol == SIMULATED else driver_lines(protocol)])


def _control(scenario: Scenario, ports: dict[str, int]) -> str:
    head = _lines(
        site=scenario.site,
        name=CONTROL,
        state_dir="state/control",
        policy=scenario.policy,
        mode="auto",
        work_value=scenario.work_value,
        policy_period_s=PERIOD_S,
        lease_ttl_s=LEASE_TTL_S,
    )
    agents = "".join(
        "\n[[agents]]\n"
        + _lines(
            name=name,
            kind="plant" if name == PLANT else "node",
            address=f"127.0.0.1:{port}",
        )
        for name, port in ports.items()
        if name not in (CONTROL, CONSOLE)
    )
    telemetry = "\n[telemetry]\n" + _lines(period_s=PERIOD_S, file="telemetry.lp")
    console = "\n[console]\n" + _lines(listen=f"127.0.0.1:{ports[CONSOLE]}", token_file=TOKEN_FILE)
    text = head + agents + _server(CONTROL, ports[CONTROL]) + _CLOCK + telemetry
    return text + console if scenario.console else text


def _sim(scenario: Scenario) -> str:
    values: dict[str, object] = {
        "site": scenario.site,
        "seed": scenario.seed,
        "start_time": scenario.start_time.astimezone(UTC).isoformat(),
        "duration_s": scenario.duration_s,
        "period_s": PERIOD_S,
        "hall_file": "hall",
        "summary_file": "truth.json",
    }
    if scenario.weather is not None:
        values["weather"] = scenario.weather
    if scenario.speed is not None:
        values["speed"] = scenario.speed
    return _lines(**values)


def write_configs(folder: Path, scenario: Scenario, layout: Layout, limits: Limits) -> Files:
    """Write certificates and configs of every process into ``folder``."""
    folder.mkdir(parents=True)
    names = [*layout.nodes, PLANT]
    make_pki(
        folder / "pki",
        agents=names,
        controllers=[CONTROL],
        operators=[OPERATOR],
        viewers=[],
    )
    ports = {name: free_port() for name in [*names, CONTROL, CONSOLE]}
    token = folder / TOKEN_FILE
    token.touch(mode=0o600)
    token.write_text(f"{OPERATOR} {secrets.token_hex(16)}\n", encoding="utf-8")
    texts = {
        "sim": _sim(scenario),
        **{node: _node(node, ports[node]) for node in layout.nodes},
        PLANT: _plant(limits, ports[PLANT], scenario.plant),
        CONTROL: _control(scenario, ports),
    }
    configs = {}
    for name, text in texts.items():
        configs[name] = folder / f"{name}.toml"
        configs[name].write_text(text, encoding="utf-8")
    return Files(
        folder=folder,
        configs=configs,
        control_port=ports[CONTROL],
        console_port=ports[CONSOLE],
    )
