"""``coolcap check --probe``: what the devices of an agent's config really take."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent import certs
from coolcap_agent.checking import probe
from coolcap_agent.daemon.state_dir import StateDir, StateDirError
from coolcap_envs.contract.errors import ConfigError
from support.daemons import DaemonSite, daemon_site
from support.small_site import SMALL_SITE


@pytest.fixture
def site(tmp_path: Path) -> Iterator[DaemonSite]:
    pki = certs.make_pki(tmp_path / "pki", agents=["node-1", "plant"])
    with daemon_site(tmp_path, pki) as made:
        yield made


def test_levers_are_proven_commandable_and_given_back(site: DaemonSite) -> None:
    rows = probe(site.plant().path)

    assert {"supply_air_temp_setpoint_c", "air_flow_setpoint_ratio"} <= {r["lever"] for r in rows}
    assert all(row["tried"] and not row["problem"] for row in rows)
    assert np.isnan(site.small.hall.table("lever_control")["commanded"]).all()


def test_gpus_are_shown_with_their_limits_and_nothing_is_written(site: DaemonSite) -> None:
    before = site.power_limits_w()

    rows = probe(site.node().path)

    assert [row["power_limit_max_w"] for row in rows] == [500.0, 500.0]
    assert [row["problem"] for row in rows] == ["", ""]
    assert before == site.power_limits_w()


def test_levers_of_a_running_agent_are_left_alone(site: DaemonSite) -> None:
    plant = site.plant()
    with StateDir(plant.state_dir), pytest.raises(StateDirError, match="is in use by the agent"):
        probe(plant.path)


def test_levers_are_left_alone_while_a_journal_waits_to_be_restored(site: DaemonSite) -> None:
    plant = site.plant()
    plant.state_dir.mkdir()
    plant.journal.write_text("{}")
    with pytest.raises(StateDirError, match="run `coolcap plant restore"):
        probe(plant.path)


def test_a_file_without_devices_cannot_be_probed(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SMALL_SITE)
    with pytest.raises(ConfigError, match="is a site file: only node and plant configs"):
        probe(path)
