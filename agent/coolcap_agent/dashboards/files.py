"""``coolcap dashboards``: copy Grafana's files to where Grafana finds them. Needs no SDK."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_envs.contract.errors import CoolcapError

INFLUX_VERSIONS: Final = ("1", "2", "3")
_DATASOURCE: Final = {"1": "influxdb-1.yaml", "2": "influxdb-2-3.yaml", "3": "influxdb-2-3.yaml"}
_INSTALLED: Final = Path(__file__).parent / "grafana"
_CHECKOUT: Final = Path(__file__).parents[3] / "deploy" / "grafana"
_DASHBOARDS_AT: Final = "/var/lib/grafana/dashboards/coolcap"


class DashboardsError(CoolcapError):
    """The files cannot be written; says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        folder: Where.
        files: Paths below it, sorted.
        environment: Variables Grafana must find in its environment.
    """

    folder: Path
    files: tuple[str, ...]
    environment: tuple[str, ...]


def grafana_folder() -> Path:
    """Return the folder of Grafana's files, of the installed package or of the checkout."""
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / "dashboards").is_dir():
            return folder
    raise DashboardsError(
        f"Grafana's files are neither in {_INSTALLED} nor in {_CHECKOUT}: install coolcap anew"
    )


def write_dashboards(
    out: Path, *, influx_version: str, dashboards_at: Path | None = None
) -> Written:
    """Write dashboards, alert rules and the data source for one version of InfluxDB.

    Args:
        out: Folder to write to; made when it is missing. Files of the same names are replaced.
        influx_version: One of ``INFLUX_VERSIONS``.
        dashboards_at: Where Grafana will find the dashboards; by default in ``out``.

    Raises:
        DashboardsError: If the version is unknown or a file cannot be written.
    """
    if influx_version not in INFLUX_VERSIONS:
        allowed = ", ".join(INFLUX_VERSIONS)
        raise DashboardsError(
            f"InfluxDB version {influx_version!r} is unknown: {allowed} are known"
        )
    source = grafana_folder()
    provisioning = out / "provisioning"
    try:
        shutil.copytree(source / "dashboards", out / "dashboards", dirs_exist_ok=True)
        shutil.copytree(source / "provisioning", provisioning, dirs_exist_ok=True)
        (provisioning / "datasources").mkdir(exist_ok=True)
        shutil.copyfile(
            source / "datasources" / _DATASOURCE[influx_version],
            provisioning / "datasources" / "coolcap.yaml",
        )
        provider = provisioning / "dashboards" / "coolcap.yaml"
        at = str(dashboards_at or (out / "dashboards").resolve())
        text = provider.read_text(encoding="utf-8").replace(_DASHBOARDS_AT, at)
        provider.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DashboardsError(f"{error.filename} cannot be written: {error.strerror}") from error
    names = sorted(
        str(path.relative_to(out))
        for folder in (out / "dashboards", provisioning)
        for path in folder.rglob("coolcap*")
        if path.is_file()
    )
    token = () if influx_version == "1" else ("COOLCAP_INFLUX_TOKEN",)
    return Written(
        folder=out,
        files=tuple(names),
        environment=("COOLCAP_INFLUX_URL", "COOLCAP_INFLUX_DATABASE", *token),
    )
