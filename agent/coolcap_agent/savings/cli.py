"""``coolcap report``: what a switchback in the telemetry log proves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coolcap_agent.controller.cli_options import instant
from coolcap_agent.terminal import Json, show

if TYPE_CHECKING:
    from coolcap_agent.savings.log import Log

reports = typer.Typer()


@reports.command()
def report(
    logs: Annotated[
        list[Path] | None, typer.Argument(help="Files of line protocol, rotated ones too.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for savings.html and savings.json.")
    ] = Path(),
    site: Annotated[str, typer.Option("--site", help="If the log is of several.")] = "",
    influxdb: Annotated[str, typer.Option("--influxdb", help="URL, instead of files.")] = "",
    bucket: Annotated[str, typer.Option("--bucket", help="Bucket or database.")] = "coolcap",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the database's token.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="Of the database: ISO 8601.")] = "",
    end: Annotated[str, typer.Option("--until", help="Of the database: ISO 8601.")] = "",
    heat_capacity: Annotated[
        float | None,
        typer.Option("--heat-capacity", help="Of air, water and structure, kWh/K, if known."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what the policy saves, from a randomised switchback; or that the data do not say it."""
    from coolcap_agent.savings.html import page
    from coolcap_agent.savings.log import read_files
    from coolcap_agent.savings.report import make_report

    if bool(logs) == bool(influxdb):
        raise typer.BadParameter("give either files or --influxdb", param_hint="LOGS")
    if logs:
        name, log = read_files(logs, site=site)
    else:
        first, last = instant(start, "--from"), instant(end, "--until")
        if first is None or last is None:
            raise typer.BadParameter("a database needs --from and --until", param_hint="--from")
        name, log = _from_influx(influxdb, bucket, token_file, start_s=first, end_s=last, site=site)
    made = make_report(name, log, heat_capacity_kwh_per_k=heat_capacity)
    out.mkdir(parents=True, exist_ok=True)
    import json

    data = made.as_json()
    (out / "savings.html").write_text(page(made), encoding="utf-8")
    (out / "savings.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    if as_json:
        show({**data, "files": [str(out / "savings.html"), str(out / "savings.json")]})
    else:
        typer.echo(made.claim)
        typer.echo(f"report: {out / 'savings.html'}")


def _from_influx(
    url: str, bucket: str, token_file: Path | None, *, start_s: float, end_s: float, site: str
) -> "tuple[str, Log]":
    import httpx

    from coolcap_agent.savings.influx import CALL_DEADLINE_S, read_influx
    from coolcap_agent.savings.log import SavingsError

    headers = {}
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SavingsError(f"{token_file} cannot be read: {error.strerror}") from error
        headers["authorization"] = f"Token {token}"
    with httpx.Client(base_url=url, headers=headers, timeout=CALL_DEADLINE_S) as client:
        return read_influx(client, bucket=bucket, start_s=start_s, end_s=end_s, site=site)
