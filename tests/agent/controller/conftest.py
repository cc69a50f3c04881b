"""Certificates and the agents of the small site."""

from pathlib import Path

import pytest

from coolcap_agent import certs
from support.small_fleet import NODES, SmallFleet


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certs.Pki:
    return certs.make_pki(
        tmp_path_factory.mktemp("pki"),
        agents=[*NODES, "plant"],
        controllers=["control", "second"],
    )


@pytest.fixture
def fleet(tmp_path: Path, pki: certs.Pki) -> SmallFleet:
    return SmallFleet(tmp_path, pki)
