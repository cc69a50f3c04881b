"""``coolcap audit``: check the log of who changed what."""

from pathlib import Path
from typing import Annotated

import typer

from coolcap_agent.terminal import Json, show

audit_app = typer.Typer(help="The log of who changed what.", no_args_is_help=True)


@audit_app.callback()
def audit() -> None:
    """Check the log of who changed what."""


@audit_app.command("verify")
def audit_verify(
    path: Annotated[Path, typer.Argument(help="An audit.jsonl of a daemon's state_dir.")],
    known: Annotated[
        str, typer.Option("--known", help="Hash of an entry from an earlier check.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check that no line was changed, removed or put in between; print the newest hash."""
    from coolcap_agent.audit import verify

    found = verify(path, known=known)
    if as_json:
        show({"file": str(path), "count": found.count, "head": found.head})
    else:
        typer.echo(f"{path}: {found.count} entries, the chain is whole; newest hash {found.head}")
