"""``coolcap check``: says all that is wrong with a file of any kind; connects to nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_envs.contract.config import read_toml
from coolcap_envs.contract.errors import BundleError, ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a file is, and what is wrong with it (empty: nothing)."""

    path: Path
    kind: str
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the report for machines."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "ok": not self.problems,
            "problems": list(self.problems),
        }


def check(path: Path) -> Report:
    """Check a config, a site file, a policy bundle or a folder of certificates."""
    kind = "unknown"
    try:
        kind, run = _recognise(path)
        run(path)
    except ConfigError as error:
        return Report(path=path, kind=kind, problems=error.problems)
    except BundleError as error:
        return Report(path=path, kind=kind, problems=(str(error),))
    return Report(path=path, kind=kind, problems=())


def probe(path: Path) -> list[dict[str, object]]:
    """Try the devices of an agent's config: one row per GPU or lever, ``problem`` empty if fit.

    Caps are only read, for a GPU has nothing to prove; levers are commanded to the value they
    already have, and given back.

    Raises:
        CoolcapError: If the file is no agent's config, or its devices cannot be reached.
    """
    kind, _ = _recognise(path)
    if kind == "plant":
        from dataclasses import asdict

        from coolcap_agent.plant.server import plant_probe

        return [asdict(row) for row in plant_probe(path)]
    if kind == "node":
        from coolcap_agent.node.server import node_once

        gpus = node_once(path)["capabilities"]["gpus"]
        return [{**gpu, "problem": gpu.get("not_commandable_reason", "")} for gpu in gpus]
    raise ConfigError(str(path), [f"is a {kind} file: only node and plant configs name devices"])


def _recognise(path: Path) -> tuple[str, Callable[[Path], None]]:
    """Return the kind of file and what checks it. Raises ConfigError."""
    if path.is_dir():
        if any(path.glob("*.crt")):
            return "certificates", _certificates
        return "bundle", _bundle
    keys = read_toml(path).keys()
    for kind, key in _TELLTALE.items():
        if key in keys:
            return kind, _CHECKS[kind]
    known = ", ".join(f"{key} ({kind})" for kind, key in _TELLTALE.items())
    raise ConfigError(
        str(path),
        [f"is no config of coolcap: the top level has none of {known}; see docs/reference"],
    )


def _node(path: Path) -> None:
    from coolcap_agent.node.config import check_node_config

    check_node_config(path)


def _plant(path: Path) -> None:
    from coolcap_agent.plant.config import check_plant_config

    check_plant_config(path)


def _relay(path: Path) -> None:
    from coolcap_agent.relay.config import check_relay_config

    check_relay_config(path)


def _control(path: Path) -> None:
    from coolcap_agent.controller.config import check_control_config

    check_control_config(path)


def _coordinate(path: Path) -> None:
    from coolcap_agent.coordinator.config import check_coordinator_config

    check_coordinator_config(path)


def _sim(path: Path) -> None:
    from coolcap_agent.sim.config import read_sim_config

    read_sim_config(path)


def _site(path: Path) -> None:
    from coolcap_agent.sim.site_check import check_simulation
    from coolcap_envs.safety.site_limits import load_site_limits

    load_site_limits(path)
    check_simulation(path)


def _bundle(path: Path) -> None:
    from coolcap_envs.contract.policy import PolicyBundle

    PolicyBundle.load(path)


def _certificates(path: Path) -> None:
    from coolcap_agent.certs import check as check_certificates

    problems = [problem for report in check_certificates(path) for problem in report.problems]
    if problems:
        raise ConfigError(str(path), problems)


_TELLTALE: Final[Mapping[str, str]] = {
    "node": "node_id",
    "plant": "plant_id",
    "relay": "relay_id",
    "control": "agents",
    "coordinate": "halls",
    "sim": "hall_file",
    "site": "layout",
}
"""The key that only this kind of file has at its top level."""

_CHECKS: Final[Mapping[str, Callable[[Path], None]]] = {
    "node": _node,
    "plant": _plant,
    "relay": _relay,
    "control": _control,
    "coordinate": _coordinate,
    "sim": _sim,
    "site": _site,
}
