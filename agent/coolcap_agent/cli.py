"""``coolcap``: the daemons, and the commands of those who run them.

Each command imports what it needs when it runs, so that starting is quick and a daemon loads
nothing that is not its own. Exit status: 0 success, 1 failure, 2 wrong usage. Errors are one line
on standard error; ``--json`` gives one object on standard output.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from coolcap_agent.audit_cli import audit_app
from coolcap_agent.controller.cli import operators
from coolcap_agent.controller.cli_steering import steering
from coolcap_agent.savings.cli import reports
from coolcap_agent.sink.cli import replays
from coolcap_agent.terminal import Json, complain, say_nested, show

app = typer.Typer(
    name="coolcap",
    help="Control of GPU power caps and cooling setpoints in a data centre.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
node_app = typer.Typer(help="The agent beside the GPUs of a node.", invoke_without_command=True)
plant_app = typer.Typer(help="The agent beside the cooling plant.", invoke_without_command=True)
app.add_typer(node_app, name="node")
app.add_typer(plant_app, name="plant")
app.add_typer(audit_app, name="audit")
app.add_typer(operators)
app.add_typer(replays)
app.add_typer(steering)
app.add_typer(reports)

Config = Annotated[Path, typer.Option("--config", "-c", help="The daemon's TOML file.")]
MaybeConfig = Annotated[Path | None, typer.Option("--config", "-c", help="The daemon's TOML file.")]
Once = Annotated[bool, typer.Option("--once", help="Read everything once, show it and end.")]


def main() -> None:
    """Run the command line and end the process."""
    from coolcap_envs.contract.errors import CoolcapError

    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = 1
    except typer.Exit as end:
        code = end.exit_code
    except CoolcapError as error:
        complain(str(error))
        code = 1
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        # Typer's own errors of usage, whose class has moved between its versions.
        text = getattr(error, "format_message", None)
        if text is None:
            raise
        context = getattr(error, "ctx", None)
        command = "coolcap" if context is None else context.command_path
        complain(f"{text()} (see `{command} --help`)")
        code = 2
    sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)


def _need(config: Path | None) -> Path:
    if config is None:
        raise typer.BadParameter("give the daemon's config file", param_hint="--config")
    return config


# Daemons


@node_app.callback()
def node(
    context: typer.Context, config: MaybeConfig = None, once: Once = False, as_json: Json = False
) -> None:
    """Run the node agent; or show the GPUs and one reading with --once."""
    if context.invoked_subcommand is not None:
        return
    from coolcap_agent.node.server import node_once, run_node

    _agent(_need(config), run=run_node, read=node_once, once=once, as_json=as_json)


@node_app.command("restore")
def node_restore(config: Config, as_json: Json = False) -> None:
    """Put back what a dead node agent's journal holds."""
    from coolcap_agent.node.server import node_restore as restore

    _restore(restore(config), as_json=as_json)


@plant_app.callback()
def plant(
    context: typer.Context, config: MaybeConfig = None, once: Once = False, as_json: Json = False
) -> None:
    """Run the plant agent; or show the levers and one reading with --once."""
    if context.invoked_subcommand is not None:
        return
    from coolcap_agent.plant.server import plant_once, run_plant

    _agent(_need(config), run=run_plant, read=plant_once, once=once, as_json=as_json)


@plant_app.command("reset")
def plant_reset(
    config: Config,
    reason: Annotated[str, typer.Option(help="What was found and done; it is recorded.")],
    as_json: Json = False,
) -> None:
    """Let a plant agent leave a trip; works while it runs and when it does not."""
    import getpass

    from coolcap_agent.plant.server import plant_reset as reset

    trip = reset(config, who=getpass.getuser(), reason=reason)
    if as_json:
        show({"trip": trip.why, "trip_time_s": trip.time_s})
    else:
        print(f"asked to leave the trip: {trip.why}; the agent does so if that is over")


@plant_app.command("restore")
def plant_restore(config: Config, as_json: Json = False) -> None:
    """Put back what a dead plant agent's journal holds."""
    from coolcap_agent.plant.server import plant_restore as restore

    _restore(restore(config), as_json=as_json)


def _agent(
    config: Path,
    *,
    run: Callable[[Path], int],
    read: Callable[[Path], dict[str, object]],
    once: bool,
    as_json: bool,
) -> None:
    if not once:
        if as_json:
            raise typer.BadParameter("goes with --once only", param_hint="--json")
        raise typer.Exit(run(config))
    data = read(config)
    if as_json:
        show(data)
    else:
        say_nested(data)


def _restore(data: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        show(data)
    else:
        say_nested(data)


@app.command()
def control(config: Config) -> None:
    """Run the controller of a hall."""
    from coolcap_agent.controller.server import run_control

    raise typer.Exit(run_control(config))


@app.command()
def relay(config: Config) -> None:
    """Run a relay, which speaks for the node agents of a rack."""
    from coolcap_agent.relay.server import run_relay

    raise typer.Exit(run_relay(config))


@app.command()
def coordinate(config: Config) -> None:
    """Divide a site's power budget among its halls."""
    from coolcap_agent.coordinator.server import run_coordinator

    raise typer.Exit(run_coordinator(config))


@app.command()
def sim(config: Config) -> None:
    """Run a simulated hall in the place of hardware."""
    from coolcap_agent.sim.config import read_sim_config
    from coolcap_agent.sim.host import run_host

    raise typer.Exit(run_host(read_sim_config(config)))


# Files


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Config, site file, bundle or certificates.")],
    probe: Annotated[bool, typer.Option("--probe", help="Try the devices, too.")] = False,
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with a file; without --probe it connects to nothing."""
    from coolcap_agent.checking import check as check_file
    from coolcap_agent.checking import probe as try_devices

    report = check_file(path)
    rows = try_devices(path) if probe and not report.problems else []
    if as_json:
        show({**report.as_json(), **({"devices": rows} if probe else {})})
    elif not report.problems:
        print(f"{path}: {report.kind}: ok")
    for problem in () if as_json else report.problems:
        print(f"{path}: {problem}", file=sys.stderr)
    for row in () if as_json else rows:
        name = row.get("lever") or row.get("gpu_uuid")
        print(f"{name}: {row['problem'] or 'can be commanded'}")
    unfit = any(row["problem"] for row in rows)
    raise typer.Exit(1 if report.problems or unfit else 0)


@app.command()
def certs(
    directory: Annotated[Path, typer.Argument(help="Where to; made if missing.")],
    nodes: Annotated[str, typer.Option(help="Node ids, separated by commas.")] = "",
    site: Annotated[str, typer.Option(help="Take the node ids of this site.")] = "",
    plants: Annotated[str, typer.Option(help="Plant ids, separated by commas.")] = "plant",
    controllers: Annotated[str, typer.Option(help="Names of controllers.")] = "control",
    operators: Annotated[str, typer.Option(help="People who control.")] = "operator",
    viewers: Annotated[str, typer.Option(help="People and dashboards that read.")] = "viewer",
    days: Annotated[int, typer.Option(help="How long they are valid.")] = 90,
    overwrite: Annotated[bool, typer.Option(help="Replace certificates and keys.")] = False,
    as_json: Json = False,
) -> None:
    """Make certificates for development: an authority, and one for each daemon and person."""
    from coolcap_agent.certs import make_pki
    from coolcap_envs.safety.site_limits import load_site_limits

    names = _names(nodes)
    if site:
        names += load_site_limits(site)[0].nodes
    pki = make_pki(
        directory,
        agents=(*names, *_names(plants)),
        controllers=_names(controllers),
        operators=_names(operators),
        viewers=_names(viewers),
        days=days,
        overwrite=overwrite,
    )
    if as_json:
        show({"directory": str(pki.directory), "names": list(pki.names)})
    else:
        print(f"certificates of {', '.join(pki.names)} are in {pki.directory}; keep ca.key away")


@app.command()
def dashboards(
    out: Annotated[Path, typer.Option("--out", help="Where to; made if missing.")],
    influxdb: Annotated[str, typer.Option(help="Version of the database: 1, 2 or 3.")] = "2",
    dashboards_at: Annotated[
        Path | None, typer.Option(help="Where Grafana finds them, if not where they are written.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write dashboards, alert rules and provisioning for Grafana."""
    from coolcap_agent.dashboards.files import write_dashboards

    if influxdb not in ("1", "2", "3"):
        raise typer.BadParameter(f"{influxdb!r} is not one of 1, 2, 3", param_hint="--influxdb")
    written = write_dashboards(out, influx_version=influxdb, dashboards_at=dashboards_at)
    if as_json:
        show(
            {
                "folder": str(written.folder),
                "files": list(written.files),
                "environment": list(written.environment),
            }
        )
    else:
        needs = ", ".join(written.environment)
        print(
            f"{len(written.files)} files in {written.folder}; Grafana needs {needs} in its "
            "environment"
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


# Demonstration


@app.command()
def demo(
    site: Annotated[str, typer.Option(help="Which site to simulate.")] = "lab-16",
    duration: Annotated[float, typer.Option(help="Simulated hours.")] = 24.0,
    speed: Annotated[float, typer.Option(help="Times real time at most; 0: no limit.")] = 0.0,
    keep_running: Annotated[bool, typer.Option(help="Go on until stopped.")] = False,
    plant: Annotated[
        str,
        typer.Option(help="How the plant is reached: simulated, bacnet, modbus, redfish, opcua."),
    ] = "simulated",
    fault: Annotated[
        str, typer.Option(help="Fault of a GPU midway, NAME or NAME=VALUE; a wrong one lists all.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of report and logs.")] = None,
    as_json: Json = False,
) -> None:
    """Run the whole system, simulated, in real processes, and report what it saved."""
    from coolcap_agent.demo.field import PROTOCOLS
    from coolcap_agent.demo.run import run_demo

    if plant not in PROTOCOLS:
        raise typer.BadParameter(f"{plant!r} is not one of {', '.join(PROTOCOLS)}")
    raise typer.Exit(
        run_demo(
            site=site,
            duration_h=duration,
            speed=speed,
            keep_running=keep_running,
            plant=plant,
            fault=fault,
            out=out,
            as_json=as_json,
        )
    )
