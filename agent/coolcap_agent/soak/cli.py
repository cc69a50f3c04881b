"""The command ``python -m coolcap_agent.soak``: what the controller must show under load.

Used by ``make soak``, ``make campaign-budgets`` and ``make bench``.
"""

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from coolcap_agent.soak.fleet_site import FleetShape
from coolcap_envs.contract.errors import CoolcapError

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
Json = Annotated[bool, typer.Option("--json", help="Print one object for machines.")]


@app.command()
def fleet(
    nodes: Annotated[int, typer.Option(help="Simulated nodes of eight GPUs.", min=1)] = 1250,
    minutes: Annotated[float, typer.Option(help="How long is measured.", min=0.1)] = 60.0,
    relay_size: Annotated[
        int, typer.Option(help="Nodes behind one relay; 0: a connection each.", min=0)
    ] = 0,
    policy: Annotated[str, typer.Option(help="Folder of a bundle, or rule.")] = "rule",
    out: Annotated[Path | None, typer.Option(help="Folder to keep logs in.")] = None,
    as_json: Json = False,
) -> None:
    """Run a controller over a simulated fleet and hold its cost and delays against the targets."""
    from coolcap_agent.soak.fleet_run import run_fleet

    shape = FleetShape(node_count=nodes, relay_size=relay_size)
    with tempfile.TemporaryDirectory(prefix="coolcap-soak-") as temporary:
        folder = Path(temporary) if out is None else out
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = run_fleet(
                folder,
                shape,
                span_s=60.0 * minutes,
                policy=policy,
                progress=lambda text: typer.echo(text, err=True),
            )
        except CoolcapError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
    misses = result.misses()
    values = {**dataclasses.asdict(result), "gpu_count": shape.gpu_count, "misses": misses}
    if as_json:
        typer.echo(json.dumps(values))
    else:
        for name, value in values.items():
            if not isinstance(value, dict | list):
                typer.echo(
                    f"{name:20} {value:.4g}" if isinstance(value, float) else f"{name:20} {value}"
                )
        typer.echo("\n".join(misses) or "all targets reached")
    raise typer.Exit(1 if misses else 0)


@app.command()
def budgets(
    scenarios: Annotated[int, typer.Option(help="How many scenarios.", min=1)] = 1000,
    first_seed: Annotated[int, typer.Option(help="Seed of the first.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Try to break budgets: random events, with the policy replaced by an adversary."""
    from coolcap_agent.soak.budget_campaign import TICKS_OVER_MAX, run_campaign

    def progress(done: int) -> None:
        if done % 100 == 0:
            typer.echo(f"{done} of {scenarios}", err=True)

    found = run_campaign(scenarios, first_seed=first_seed, progress=progress)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found)))
    else:
        events = ", ".join(f"{count} {name}" for name, count in sorted(found.events.items()))
        typer.echo(f"{found.scenarios} scenarios, {found.ticks} fast ticks; {events}")
        typer.echo(
            f"over a budget on {found.ticks_over} ticks, on {found.ticks_unreachable} of them with "
            "all caps in reach at their floors"
        )
        typer.echo(
            f"longest time over a budget that could be kept: {found.longest_over} ticks (at most "
            f"{TICKS_OVER_MAX}); scenarios with more: {found.failed or 'none'}"
        )
    raise typer.Exit(1 if found.failed else 0)


@app.command()
def allocator(as_json: Json = False) -> None:
    """Time the allocator over ten thousand GPUs."""
    from coolcap_agent.soak.allocator_bench import time_allocator

    results = [time_allocator(groups_per_node=count) for count in (1, 8)]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(result) for result in results]))
        return
    for result in results:
        typer.echo(
            f"allocator: {result.gpu_count} GPUs in {result.group_count} groups, "
            f"{result.budget_count} budgets: median {result.median_ms:.2f} ms, "
            f"worst {result.worst_ms:.2f} ms of CPU; {result.over_count} budgets exceeded"
        )
