"""The controller's config file; docs/reference/config-control.md describes every key.

Reading it connects to nothing; all problems come in one message.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from coolcap_agent.clock import Clock, RealClock
from coolcap_agent.config import (
    ServerConfig,
    read_clock_config,
    read_config,
    read_server_config,
    take_path,
)
from coolcap_agent.console.config import ConsoleConfig, read_console_config
from coolcap_agent.controller.agent_address import (
    AgentConfig,
    check_complete,
    check_plant,
    read_agents,
    with_absent,
)
from coolcap_agent.controller.demand_response_config import (
    DemandResponseConfig,
    read_demand_response_config,
)
from coolcap_agent.controller.discovery_config import DiscoveryConfig, read_discovery_config
from coolcap_agent.controller.election_config import ElectionConfig, read_election_config
from coolcap_agent.controller.modes import Mode
from coolcap_agent.logging import LogConfig, read_log_config
from coolcap_agent.metrics.config import read_metrics_config
from coolcap_agent.rpc.address import Address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.tls import Tls, load_tls
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.errors import BundleError, ConfigError
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.policy import PolicyBundle
from coolcap_envs.safety.limits import Limits
from coolcap_envs.safety.site_limits import load_site_limits

RULE: Final = "rule"
"""In place of a bundle's folder: the feedback rule alone."""
START_MODES: Final = (Mode.OFF, Mode.SHADOW, Mode.ADVISE, Mode.AUTO)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How the loop runs.

    Attributes:
        mode: Mode at the start.
        work_value: Per cent of energy one per cent of throughput is worth.
        policy_period_s: Time between decisions, site time.
        fast_period_s: Time between looks at budgets, temperatures, ages; renews leases. Host time.
        policy_deadline_s: Longest wait for the policy, host time.
        answer_deadline_s: Longest wait for agents to carry out a command, host time.
        lease_ttl_s: Time after which agents restore if the controller falls silent, host time.
        trip_over_k: Inlet this far above its limit, for ``trip_after_s``, gives cooling back.
        trip_after_s: See ``trip_over_k``; site time.
    """

    mode: Mode
    work_value: float
    policy_period_s: float
    fast_period_s: float
    policy_deadline_s: float
    answer_deadline_s: float
    lease_ttl_s: float
    trip_over_k: float
    trip_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxConfig:
    """The database telemetry goes to."""

    url: str
    org: str
    bucket: str
    token_file: Path | None
    spool_bytes_max: int

    def token(self) -> str:
        """Read the token.

        Raises:
            ConfigError: If the file cannot be read.
        """
        if self.token_file is None:
            return ""
        try:
            return self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                str(self.token_file), [f"cannot be read: {error.strerror}"]
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryConfig:
    """Where telemetry is logged, and how often each group's; the site's is at most once a second.

    ``file`` is None when a database takes it and no file is named.
    """

    period_s: float
    file: Path | None
    influx: InfluxConfig | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlConfig:
    """Everything the controller is told.

    Attributes:
        path: The config file.
        name: Name of the controller; its certificate is for it, and agents show it as holder.
        state_dir: Folder of decisions, audit log and spool.
        layout: What stands where.
        limits: What the site allows.
        agents: Every agent of the site; those that are to be found have no address yet.
        discovery: Where agents are found; None: all are named.
        demand_response: Who outside may ask for less power; None: nobody.
        policy: Folder of the bundle, or None for the rule.
        policy_key: Public key the bundle must be signed with; None takes any.
        loop: How the loop runs.
        server: Where operators reach it, and its identity towards them and the agents.
        telemetry: Where telemetry is logged.
        simulated_clock: File that carries simulated site time; None: the host's clock.
        log: How to log.
        metrics: Where scrapers find OpenMetrics; None: nowhere.
        election: The other controllers of the hall; None: there are none.
        console: How the web console is reached; None: there is none.
    """

    path: Path
    name: str
    state_dir: Path
    layout: Layout
    limits: Limits
    agents: tuple[AgentConfig, ...]
    discovery: DiscoveryConfig | None
    demand_response: DemandResponseConfig | None
    policy: Path | None
    policy_key: Path | None
    loop: LoopConfig
    server: ServerConfig
    telemetry: TelemetryConfig
    simulated_clock: Path | None
    log: LogConfig
    metrics: Address | None
    election: ElectionConfig | None
    console: ConsoleConfig | None

    def clock(self) -> Clock:
        """Return the site's clock."""
        if self.simulated_clock is None:
            return RealClock()
        from coolcap_agent.simulated_clock import SimulatedClock

        return SimulatedClock(self.simulated_clock)

    def load_tls(self) -> Tls:
        """Read and check the controller's identity, towards operators and agents.

        Raises:
            ConfigError: With everything that is wrong with the files.
        """
        return load_tls(
            self.server.tls,
            usages=(Usage.SERVER, Usage.CLIENT),
            name=self.name,
            origin=str(self.path),
        )


def _read_loop(root: Table) -> LoopConfig:
    mode = root.take_str("mode", allowed=START_MODES, default=Mode.SHADOW)

    def span(key: str, low: float, high: float, default: float) -> float:
        return root.take_float(key, low=low, high=high, unit="s", default=default)

    loop = LoopConfig(
        mode=Mode(mode or Mode.SHADOW),
        work_value=root.take_float(
            "work_value", low=0.0, high=5.0, unit="(per cent per cent)", default=1.0
        ),
        policy_period_s=span("policy_period_s", 1.0, 3600.0, 30.0),
        fast_period_s=span("fast_period_s", 0.1, 10.0, 1.0),
        policy_deadline_s=span("policy_deadline_s", 0.01, 10.0, 0.3),
        answer_deadline_s=span("answer_deadline_s", 0.01, 10.0, 0.5),
        lease_ttl_s=span("lease_ttl_s", 1.0, 3600.0, 5.0),
        trip_over_k=root.take_float("trip_over_k", low=1.0, high=30.0, unit="K", default=5.0),
        trip_after_s=span("trip_after_s", 1.0, 3600.0, 300.0),
    )
    if loop.fast_period_s > loop.policy_period_s:
        root.complain("fast_period_s", "must not be above policy_period_s")
    busy_s = loop.policy_deadline_s + loop.answer_deadline_s
    if busy_s > loop.fast_period_s:
        root.complain(
            "fast_period_s",
            f"= {loop.fast_period_s:g} s must be at least policy_deadline_s + answer_deadline_s "
            f"= {busy_s:g} s, so that no decision delays the next look at the budgets",
        )
    if loop.lease_ttl_s < 3.0 * loop.fast_period_s:
        root.complain(
            "lease_ttl_s",
            f"= {loop.lease_ttl_s:g} s must be at least three times fast_period_s: leases are "
            "renewed once per fast tick, and one lost message must not end them",
        )
    return loop


def _read_telemetry(table: Table, *, folder: Path, state_dir: Path) -> TelemetryConfig:
    influx = None
    if table.has("influxdb"):
        part = table.take_table("influxdb")
        influx = InfluxConfig(
            url=part.take_str("url"),
            org=part.take_str("org", default="coolcap"),
            bucket=part.take_str("bucket", default="coolcap"),
            token_file=(
                take_path(part, "token_file", folder=folder) if part.has("token_file") else None
            ),
            spool_bytes_max=part.take_int(
                "spool_bytes_max", low=1_000_000, high=10**13, default=2_000_000_000
            ),
        )
        if influx.url and not influx.url.startswith(("http://", "https://")):
            part.complain("url", f"= {influx.url!r} must start with http:// or https://")
        part.finish()
    file = take_path(table, "file", folder=folder) if table.has("file") else None
    config = TelemetryConfig(
        period_s=table.take_float("period_s", low=1.0, high=3600.0, unit="s", default=10.0),
        file=state_dir / "telemetry.lp" if file is None and influx is None else file,
        influx=influx,
    )
    table.finish()
    return config


def _read_site(root: Table, *, folder: Path) -> tuple[Layout, Limits] | None:
    site = root.take_str("site")
    if not site:
        return None
    try:
        return load_site_limits(folder / site if site.endswith(".toml") else site)
    except ConfigError as error:
        root.problems.append(f"site: {error}")
        return None


def read_control_config(path: Path) -> ControlConfig:
    """Read the controller's config and the site file it names.

    Raises:
        ConfigError: With every problem of both files at once.
    """

    def read(root: Table) -> ControlConfig:
        folder = path.parent
        site = _read_site(root, folder=folder)
        # Without a site there is a problem on record, and nobody gets to see the config.
        layout, limits = site or cast("tuple[Layout, Limits]", (None, None))
        agents = read_agents(root.take_tables("agents"), site[0] if site else None)
        discovery = read_discovery_config(root, folder=folder)
        if site and discovery is None:
            check_complete(root, agents, site[0])
        elif site:
            check_plant(root, agents)
            agents = with_absent(agents, site[0])
        name = root.take_str("name", default="control")
        policy = root.take_str("policy", default=RULE)
        policy_key = root.take_str("policy_key", default="")
        state_dir = take_path(root, "state_dir", folder=folder)
        return ControlConfig(
            path=path,
            name=name,
            state_dir=state_dir,
            layout=layout,
            limits=limits,
            agents=agents,
            discovery=discovery,
            demand_response=read_demand_response_config(root, limits, folder=folder),
            policy=None if policy == RULE else folder / policy,
            policy_key=folder / policy_key if policy_key else None,
            loop=_read_loop(root),
            server=read_server_config(root.take_table("server"), folder=folder),
            telemetry=_read_telemetry(
                root.take_table("telemetry", needed=False), folder=folder, state_dir=state_dir
            ),
            simulated_clock=read_clock_config(
                root.take_table("clock", needed=False), folder=folder
            ),
            log=read_log_config(root.take_table("log", needed=False)),
            metrics=read_metrics_config(root),
            election=read_election_config(root, name=name, folder=folder),
            console=read_console_config(root, folder=folder),
        )

    return read_config(path, read)


def check_control_config(path: Path) -> ControlConfig:
    """Read a config, its TLS files and its policy as the daemon would; connects to nothing.

    Raises:
        ConfigError: With every problem at once.
    """
    config = read_control_config(path)
    problems: list[str] = []
    try:
        config.load_tls()
    except ConfigError as error:
        problems += error.problems
    try:
        if config.policy is not None:
            PolicyBundle.load(config.policy, public_key=config.policy_key)
        if config.telemetry.influx is not None:
            config.telemetry.influx.token()
        if config.console is not None:
            config.console.tokens()
    except BundleError as error:
        problems.append(f"policy: {error}")
    except ConfigError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError(str(path), problems)
    return config
