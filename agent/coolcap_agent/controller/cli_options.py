"""Options the operator's commands share: whom to call, as whom, and instants as text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coolcap_agent.controller.client import Operator

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


def operator_of(controller: str, name: str, tls: Path, identity: str) -> "Operator":
    """Return whom to call, and as whom."""
    from coolcap_agent.controller.client import Operator

    return Operator(address=controller, controller=name, tls_dir=tls, identity=identity)


def instant(text: str, option: str) -> float | None:
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


def span(text: str, option: str) -> float:
    """Return a span given as a number with s, min, h or d, in seconds."""
    units = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    number = text.rstrip("smindh")
    try:
        return float(number) * units[text[len(number) :]]
    except (KeyError, ValueError) as error:
        raise typer.BadParameter(
            f"{text!r} is no span such as 90s, 15min, 2h or 1d", param_hint=option
        ) from error
