"""The commands of those who operate a controller; part of ``coolcap``."""

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
)
from coolcap_agent.terminal import Json, say, show

operators = typer.Typer()


@operators.command()
def status(
    controller: Address = DEFAULT_ADDRESS,
    name: Name = DEFAULT_NAME,
    tls: TlsDir = DEFAULT_TLS,
    identity: Identity = DEFAULT_IDENTITY,
    as_json: Json = False,
) -> None:
    """Say how the controller, its agents and the hall are doing."""
    from coolcap_agent.controller import calls, words

    answer = calls.status(operator_of(controller, name, tls, identity))
    if as_json:
        show(calls.as_json(answer))
    else:
        say(words.status_lines(answer))


@operators.command()
def mode(
    wanted: Annotated[str, typer.Argument(help="off, shadow, advise, auto or hold.")],
    reason: Reason,
    reset_trip: Annotated[
        bool, typer.Option("--reset-trip", help="Leave tripped; the cause is gone.")
    ] = False,
    canary: Annotated[
        float | None,
        typer.Option("--canary", help="Share of the groups the policy decides about, 0 to 1."),
    ] = None,
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
        operator_of(controller, name, tls, identity),
        Mode(wanted),
        reason=reason,
        reset_trip=reset_trip,
        canary_ratio=canary,
    )
    if as_json:
        show(calls.as_json(answer))
    else:
        before, after = words.mode_text(answer.previous_mode), words.mode_text(answer.mode)
        typer.echo(f"mode {after} (was {before}): {answer.mode_reason}")


@operators.command()
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
        operator_of(controller, name, tls, identity),
        which,
        budget_w=watts,
        start_time_s=instant(start, "--from"),
        end_time_s=instant(end, "--until"),
        reason=reason,
    )
    if as_json:
        show(calls.as_json(answer))
    else:
        typer.echo(
            f"budget {which}: {answer.budget.budget_w:.0f} W now; the site file says "
            f"{answer.budget.configured_w:.0f} W"
        )


@operators.command()
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

    answer = calls.release(operator_of(controller, name, tls, identity), reason=reason)
    if as_json:
        show(calls.as_json(answer))
    else:
        say(words.release_lines(answer))
    if any(agent.message for agent in answer.agents):
        raise typer.Exit(1)


@operators.command()
def explain(
    group: Annotated[str, typer.Option("--group", "-g", help="A control group.")] = "",
    lever: Annotated[str, typer.Option("--lever", "-l", help="A lever of the plant.")] = "",
    at: Annotated[str, typer.Option("--at", help="Site time, ISO 8601; default: newest.")] = "",
    inputs: Annotated[bool, typer.Option("--inputs", help="Also what the policy saw.")] = False,
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
        operator_of(controller, name, tls, identity),
        group=group,
        lever=lever,
        time_s=instant(at, "--at"),
    )
    if as_json:
        show(calls.as_json(answer))
    else:
        say(words.decision_lines(answer, inputs=inputs))
