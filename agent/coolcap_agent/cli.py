"""``coolcap``: the daemons, and the commands of those who run them.

Each command imports what it needs when it runs, so that starting is quick and a daemon loads
nothing that is not its own. Exit status: 0 success, 1 failure, 2 wrong usage. Errors are one line
on standard error; ``--json`` gives one object on standard output.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coolcap_agent.controller.client import Operator

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

Config = Annotated[Path, typer.Option("--config", "-c", help="The daemon's TOML file.")]
MaybeConfig = Annotated[Path | None, typer.Option("--config", "-c", help="The daemon's TOML file.")]
Once = Annotated[bool, typer.Option("--once", help="Read everything once, show it and end.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Address = Annotated[
    str,
    typer.Option("--controller", envvar="COOLCAP_CONTROLLER", help="Where the controller listens."),
]
Name = Annotated[
    str, typer.Option("--name", envvar="COOLCAP_CONTROLLER_NAME", help="Its name (certificate).")
]
TlsDir = Annotated[
    Path, typer.Option("--tls", envvar="COOLCAP_TLS", help="Folder of ca.crt and your certificate.")
]
Identity = Annotated[
    str, typer.Option("--as", envvar="COOLCAP_IDENTITY", help="Your certificate's file name.")
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; goes to the audit log.")]

DEFAULT_ADDRESS = "127.0.0.1:7500"
DEFAULT_NAME = "control"
DEFAULT_TLS = Path("certs")
DEFAULT_IDENTITY = "operator"


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
        _complain(str(error))
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
        _complain(f"{text()} (see `{command} --help`)")
        code = 2
    sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)


def _complain(text: str) -> None:
    print("coolcap: " + " ".join(text.split()), file=sys.stderr)


def _need(config: Path | None) -> Path:
    if config is None:
        raise typer.BadParameter("give the daemon's config file", param_hint="--config")
    return config


def _show(data: Mapping[str, object]) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _show_words(data: object, *, indent: int = 0) -> None:
    """Print nested data as indented words, for people."""
    pad = "  " * indent
    if isinstance(data, dict):
        items = list(data.items())
    else:
        items = list(enumerate(data)) if isinstance(data, list) else []
    for key, value in items:
        if isinstance(value, dict | list):
            print(f"{pad}{key}:")
            _show_words(value, indent=indent + 1)
        else:
            print(f"{pad}{key}: {value}")


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
        _show(data)
    else:
        _show_words(data)


def _restore(data: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        _show(data)
    else:
        _show_words(data)


@app.command()
def control(config: Config) -> None:
    """Run the controller of a hall."""
    from coolcap_agent.controller.server import run_control

    raise typer.Exit(run_control(config))


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
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with a file; connects to nothing."""
    from coolcap_agent.checking import check as check_file

    report = check_file(path)
    if as_json:
        _show(report.as_json())
    elif not report.problems:
        print(f"{path}: {report.kind}: ok")
    for problem in () if as_json else report.problems:
        print(f"{path}: {problem}", file=sys.stderr)
    raise typer.Exit(1 if report.problems else 0)


@app.command()
def certs(
    directory: Annotated[Path, typer.Argument(help="Where to; made if missing.")],
    nodes: Annotated[str, typer.Option(help="Node ids, separated by commas.")] = "",
    site: Annotated[str, typer.Option(help="Take the node ids of this site.")] = "",
    plants: Annotated[str, typer.Option(help="Plant ids, separated by commas.")] = "plant",
    controllers: Annotated[str, typer.Option(help="Names of controllers.")] = DEFAULT_NAME,
    operators: Annotated[str, typer.Option(help="People who control.")] = DEFAULT_IDENTITY,
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
        _show({"directory": str(pki.directory), "names": list(pki.names)})
    else:
        print(f"certificates of {', '.join(pki.names)} are in {pki.directory}; keep ca.key away")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


# Operators


@app.command()
def status(
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Say how the controller, its agents and the hall are doing."""
    from coolcap_agent.controller import calls, words

    answer = calls.status(_operator(controller, name, tls, identity))
    if as_json:
        _show(calls.as_json(answer))
    else:
        _say(words.status_lines(answer))


@app.command()
def mode(
    wanted: Annotated[str, typer.Argument(help="off, shadow, advise, auto or hold.")],
    reason: Reason,
    reset_trip: Annotated[
        bool, typer.Option("--reset-trip", help="Leave tripped; the cause is gone.")
    ] = False,
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Change what the controller may do."""
    from coolcap_agent.controller import calls, words
    from coolcap_agent.controller.modes import ASK, Mode

    if wanted not in ASK:
        raise typer.BadParameter(f"{wanted!r} is not one of {', '.join(ASK)}", param_hint="MODE")
    answer = calls.set_mode(
        _operator(controller, name, tls, identity),
        Mode(wanted),
        reason=reason,
        reset_trip=reset_trip,
    )
    if as_json:
        _show(calls.as_json(answer))
    else:
        before, after = words.mode_text(answer.previous_mode), words.mode_text(answer.mode)
        print(f"mode {after} (was {before}): {answer.mode_reason}")


@app.command()
def budget(
    which: Annotated[str, typer.Argument(help="Name of the budget, as `status` shows it.")],
    reason: Reason,
    watts: Annotated[float | None, typer.Argument(help="What it may draw, W.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Back to the site file's value.")] = False,
    start: Annotated[str, typer.Option("--from", help="Site time, ISO 8601; default: now.")] = "",
    end: Annotated[str, typer.Option("--until", help="Site time, ISO 8601; default: no end.")] = "",
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Set a power budget, or lift the change."""
    from coolcap_agent.controller import calls

    if lift == (watts is not None):
        raise typer.BadParameter("give either WATTS or --lift", param_hint="WATTS")
    answer = calls.set_budget(
        _operator(controller, name, tls, identity),
        which,
        budget_w=watts,
        start_time_s=_time(start, "--from"),
        end_time_s=_time(end, "--until"),
        reason=reason,
    )
    if as_json:
        _show(calls.as_json(answer))
    else:
        print(
            f"budget {which}: {answer.budget.budget_w:.0f} W now; the site file says "
            f"{answer.budget.configured_w:.0f} W"
        )


@app.command()
def release(
    reason: Reason,
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Hand everything back: caps and setpoints return to what they were before the first write."""
    from coolcap_agent.controller import calls, words

    answer = calls.release(_operator(controller, name, tls, identity), reason=reason)
    if as_json:
        _show(calls.as_json(answer))
    else:
        _say(words.release_lines(answer))
    if any(agent.message for agent in answer.agents):
        raise typer.Exit(1)


@app.command()
def explain(
    group: Annotated[str, typer.Option("--group", "-g", help="A control group.")] = "",
    lever: Annotated[str, typer.Option("--lever", "-l", help="A lever of the plant.")] = "",
    at: Annotated[str, typer.Option("--at", help="Site time, ISO 8601; default: newest.")] = "",
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Say why a cap or a setpoint is what it is."""
    from coolcap_agent.controller import calls, words

    if bool(group) == bool(lever):
        raise typer.BadParameter("give either --group or --lever", param_hint="--group")
    answer = calls.decision(
        _operator(controller, name, tls, identity),
        group=group,
        lever=lever,
        time_s=_time(at, "--at"),
    )
    if as_json:
        _show(calls.as_json(answer))
    else:
        _say(words.decision_lines(answer))


def _operator(controller: str, name: str, tls: Path, identity: str) -> "Operator":
    from coolcap_agent.controller.client import Operator

    return Operator(address=controller, controller=name, tls_dir=tls, identity=identity)


def _time(text: str, option: str) -> float | None:
    """Return an instant given as ISO 8601, UTC where it has no offset; None for no text."""
    from datetime import UTC, datetime

    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no instant such as 2025-07-01T12:00:00Z", param_hint=option
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


# Demonstration


@app.command()
def demo(
    site: Annotated[str, typer.Option(help="Which site to simulate.")] = "lab-16",
    duration: Annotated[float, typer.Option(help="Simulated hours.")] = 24.0,
    speed: Annotated[float, typer.Option(help="Times real time at most; 0: no limit.")] = 0.0,
    keep_running: Annotated[bool, typer.Option(help="Go on until stopped.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of report and logs.")] = None,
    as_json: Json = False,
) -> None:
    """Run the whole system, simulated, in real processes, and report what it saved."""
    from coolcap_agent.demo.run import run_demo

    raise typer.Exit(
        run_demo(
            site=site,
            duration_h=duration,
            speed=speed,
            keep_running=keep_running,
            out=out,
            as_json=as_json,
        )
    )
