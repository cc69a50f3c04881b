"""The operator's commands that take values in hand and let policy and rule take turns."""

from typing import Annotated

import typer

from coolcap_agent.controller.cli_options import (
    DEFAULT_ADDRESS,
    DEFAULT_IDENTITY,
    DEFAULT_NAME,
    DEFAULT_TLS,
    Address,
    Identity,
    Name,
    Reason,
    TlsDir,
    instant,
    operator_of,
    span,
)
from coolcap_agent.terminal import Json, say, show

steering = typer.Typer()


@steering.command()
def override(
    reason: Reason,
    value: Annotated[
        float | None, typer.Argument(help="W per GPU of a group, or the lever's unit.")
    ] = None,
    group: Annotated[str, typer.Option("--group", "-g", help="A control group.")] = "",
    lever: Annotated[str, typer.Option("--lever", "-l", help="A lever of the plant.")] = "",
    hold: Annotated[str, typer.Option("--for", help="How long, site time: 30min, 2h, 1d.")] = "1h",
    lift: Annotated[bool, typer.Option("--lift", help="Let the value go.")] = False,
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Hold one cap or setpoint at a value for a time; the policy stands back meanwhile."""
    from coolcap_agent.controller import calls, words

    if bool(group) == bool(lever):
        raise typer.BadParameter("give either --group or --lever", param_hint="--group")
    if lift == (value is not None):
        raise typer.BadParameter("give either VALUE or --lift", param_hint="VALUE")
    answer = calls.set_override(
        operator_of(controller, name, tls, identity),
        group=group,
        lever=lever,
        value=value,
        duration_s=span(hold, "--for"),
        reason=reason,
    )
    if as_json:
        show(calls.as_json(answer))
    else:
        say(words.override_lines(answer.overrides))
        typer.echo(f"mode {words.mode_text(answer.mode)}")


@steering.command()
def switchback(
    reason: Reason,
    pairs: Annotated[int, typer.Option("--pairs", help="Pairs of blocks.")] = 28,
    block: Annotated[str, typer.Option("--block", help="Length of a block: 12h, 1d.")] = "1d",
    washout: Annotated[
        str, typer.Option("--washout", help="Begin of each block that reports leave out.")
    ] = "1h",
    seed: Annotated[int, typer.Option("--seed", help="What the order is drawn from.")] = 1,
    start: Annotated[
        str, typer.Option("--from", help="Site time, ISO 8601; default: the next full block.")
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End the switchback that runs.")] = False,
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Let policy and feedback rule take turns in random order, to measure what is saved."""
    from coolcap_agent.controller import calls, words

    operator = operator_of(controller, name, tls, identity)
    if end:
        answer = calls.end_switchback(operator, reason=reason)
    else:
        answer = calls.start_switchback(
            operator,
            start_time_s=instant(start, "--from"),
            block_s=span(block, "--block"),
            washout_s=span(washout, "--washout"),
            pair_count=pairs,
            seed=seed,
            reason=reason,
        )
    if as_json:
        show(calls.as_json(answer))
    elif answer.HasField("switchback"):
        say([words.switchback_text(answer.switchback)])
    else:
        typer.echo("no switchback; in mode auto the policy decides all the time")
