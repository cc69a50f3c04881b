"""``coolcap dashboards`` copies what Grafana needs, from a checkout or an installed package."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from coolcap_agent.dashboards.files import DashboardsError, grafana_folder, write_dashboards
from support.grafana import DEPLOY, dashboards


def test_files_of_a_checkout_are_those_of_deploy() -> None:
    assert grafana_folder() == DEPLOY


@pytest.mark.parametrize(("version", "has_token"), [("1", False), ("2", True), ("3", True)])
def test_everything_grafana_needs_is_written(tmp_path: Path, version: str, has_token: bool) -> None:
    written = write_dashboards(tmp_path / "grafana", influx_version=version)

    expected = {f"dashboards/{uid}.json" for uid in dashboards()}
    kinds = ("alerting", "dashboards", "datasources")
    expected |= {f"provisioning/{kind}/coolcap.yaml" for kind in kinds}
    assert set(written.files) == expected
    assert ("COOLCAP_INFLUX_TOKEN" in written.environment) == has_token
    text = (tmp_path / "grafana" / "provisioning" / "datasources" / "coolcap.yaml").read_text()
    assert ("COOLCAP_INFLUX_TOKEN" in text) == has_token


def test_provider_looks_for_dashboards_where_they_are(tmp_path: Path) -> None:
    write_dashboards(tmp_path, influx_version="1")

    provider = yaml.safe_load(
        (tmp_path / "provisioning" / "dashboards" / "coolcap.yaml").read_text()
    )
    (one,) = provider["providers"]
    assert one["options"]["path"] == str(tmp_path / "dashboards")


def test_provider_can_be_told_another_place(tmp_path: Path) -> None:
    """In a container the folder has another name than outside."""
    write_dashboards(tmp_path, influx_version="1", dashboards_at=Path("/srv/boards"))

    assert "path: /srv/boards" in (
        tmp_path / "provisioning" / "dashboards" / "coolcap.yaml"
    ).read_text(encoding="utf-8")


def test_writing_twice_gives_the_same(tmp_path: Path) -> None:
    first = write_dashboards(tmp_path, influx_version="1")

    assert write_dashboards(tmp_path, influx_version="1") == first


def test_unknown_version_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DashboardsError, match="'4' is unknown: 1, 2, 3 are known"):
        write_dashboards(tmp_path, influx_version="4")


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DashboardsError, match=r"file/.* cannot be written: Not a directory"):
        write_dashboards(tmp_path / "file" / "below", influx_version="1")


def test_copying_needs_no_sdk(tmp_path: Path) -> None:
    """The SDK is a tool of development: operators do not have it."""

    code = (
        "import sys; sys.modules['grafana_foundation_sdk'] = None; sys.modules['yaml'] = None\n"
        "from pathlib import Path\n"
        "from coolcap_agent.dashboards.files import write_dashboards\n"
        f"write_dashboards(Path({str(tmp_path)!r}), influx_version='2')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
