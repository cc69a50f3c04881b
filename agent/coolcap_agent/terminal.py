"""What commands say: words or one JSON object on standard output, errors on standard error."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def complain(text: str) -> None:
    """Say one line on standard error."""
    typer.echo("coolcap: " + " ".join(text.split()), err=True)


def show(data: Mapping[str, object]) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        typer.echo(line)


def say_nested(data: object, *, indent: int = 0) -> None:
    """Print nested data as indented words."""
    pad = "  " * indent
    if isinstance(data, dict):
        items = list(data.items())
    else:
        items = list(enumerate(data)) if isinstance(data, list) else []
    for key, value in items:
        if isinstance(value, dict | list):
            typer.echo(f"{pad}{key}:")
            say_nested(value, indent=indent + 1)
        else:
            typer.echo(f"{pad}{key}: {value}")
