"""Certificates and a small node."""

from pathlib import Path

import pytest

from coolcap_agent import certs
from support.small_node import SmallNode


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certs.Pki:
    return certs.make_pki(
        tmp_path_factory.mktemp("pki"), agents=["node-1", "node-2"], controllers=["control", "b"]
    )


@pytest.fixture
def node(tmp_path: Path, pki: certs.Pki) -> SmallNode:
    return SmallNode(tmp_path, pki)
