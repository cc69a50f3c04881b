"""``[demand_response]`` of the controller's config: who outside may ask for less power.

::

    [demand_response]
    budget = "site"              # the budget events lower unless they name another
    floor_w = 400000.0           # no request lowers it further
    file = "events.toml"         # [[events]]; looked at twice a second

    [demand_response.openadr]    # OpenADR 3, as a virtual end node (extra `openadr`)
    url = "https://vtn.example.net/openadr3/3.1.0"
    program = "program-1"        # id of the programme
    client_id = "hall-1"
    client_secret_file = "openadr.secret"
    token_url = "https://…"      # optional: the server says it otherwise
    period_s = 30.0
"""

from dataclasses import dataclass
from pathlib import Path

from coolcap_agent.config import take_path
from coolcap_envs.contract.config import Table
from coolcap_envs.safety.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAdrConfig:
    """A server of OpenADR 3 (a VTN) and the programme whose events are met."""

    url: str
    program: str
    client_id: str
    client_secret_file: Path | None
    token_url: str
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandResponseConfig:
    """Who may ask for less power.

    Attributes:
        budget: Budget that events lower unless they name another.
        floor_w: No request lowers it further; IT power.
        file: File of events; None: there is none.
        openadr: Server of events; None: there is none.
    """

    budget: str
    floor_w: float
    file: Path | None
    openadr: OpenAdrConfig | None


def read_demand_response_config(
    root: Table, limits: Limits | None, *, folder: Path
) -> DemandResponseConfig | None:
    """Read ``[demand_response]``; None without one. Problems are in ``root.problems``."""
    if not root.has("demand_response"):
        return None
    table = root.take_table("demand_response")
    config = DemandResponseConfig(
        budget=table.take_str("budget", default="site"),
        floor_w=table.take_float("floor_w", low=0.0, high=1e10, unit="W"),
        file=take_path(table, "file", folder=folder) if table.has("file") else None,
        openadr=_read_openadr(table, folder=folder) if table.has("openadr") else None,
    )
    if config.file is None and config.openadr is None:
        table.complain("file", "or [demand_response.openadr] is needed")
    if limits is not None and config.budget not in limits.budget_names:
        known = ", ".join(limits.budget_names) or "none"
        table.complain("budget", f"= {config.budget!r} is no budget of the site, which has {known}")
    table.finish()
    return config


def _read_openadr(table: Table, *, folder: Path) -> OpenAdrConfig:
    part = table.take_table("openadr")
    secret = "client_secret_file"
    config = OpenAdrConfig(
        url=part.take_str("url"),
        program=part.take_str("program"),
        client_id=part.take_str("client_id", default=""),
        client_secret_file=take_path(part, secret, folder=folder) if part.has(secret) else None,
        token_url=part.take_str("token_url", default=""),
        period_s=part.take_float("period_s", low=1.0, high=3600.0, unit="s", default=30.0),
    )
    if config.url and not config.url.startswith(("http://", "https://")):
        part.complain("url", f"= {config.url!r} must start with http:// or https://")
    if bool(config.client_id) != (config.client_secret_file is not None):
        part.complain("client_id", f"and {secret} go together: give both or none")
    part.finish()
    return config
