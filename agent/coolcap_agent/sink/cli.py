"""``coolcap replay``: what is on disk goes to a server."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from coolcap_agent.terminal import Json, complain, show

replays = typer.Typer()


@replays.command()
def replay(
    paths: Annotated[
        list[Path], typer.Argument(help="Spools, or files of line protocol, also gzipped.")
    ],
    url: Annotated[str, typer.Option("--url", help="The server, http://HOST:PORT.")],
    org: Annotated[str, typer.Option("--org", help="Organisation.")] = "coolcap",
    bucket: Annotated[
        str, typer.Option("--bucket", help="Bucket, or database/retention before 2.x.")
    ] = "coolcap",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="API token, user:password before 2.x.")
    ] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="Send again what a spool kept aside as refused.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send what waits in spools and files to a server; repeating it changes nothing."""
    from coolcap_agent.controller.config import InfluxConfig
    from coolcap_agent.daemon.state_dir import StateDir
    from coolcap_agent.sink.influx import InfluxTarget, influx_post
    from coolcap_agent.sink.replay import ReplayError, is_spool
    from coolcap_agent.sink.replay import replay as send

    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{url!r} must start with http:// or https://", param_hint="--url")
    config = InfluxConfig(url=url, org=org, bucket=bucket, token_file=token_file, spool_bytes_max=0)
    target = InfluxTarget(url=url, org=org, bucket=bucket, token=config.token())
    with ExitStack() as held:
        for path in paths:
            try:
                spool = is_spool(path)
            except OSError as error:
                raise ReplayError(f"{path} cannot be read: {error.strerror}") from error
            if spool and (path.parent / "lock").exists():
                # A controller that runs sends its spool itself.
                held.enter_context(StateDir(path.parent))
        done = send(paths, influx_post(target), refused_again=refused)
    for path_text in done.torn:
        complain(f"{path_text}: its last line has no end and is left out: a writer was cut off")
    if done.problem:
        complain(done.problem)
    if as_json:
        show({"sent": done.sent, "refused": done.refused, "torn": list(done.torn)})
    else:
        typer.echo(f"{done.sent} lines sent to {url}, bucket {bucket}; {done.refused} refused")
    raise typer.Exit(1 if done.refused else 0)
