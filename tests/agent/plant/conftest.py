"""Certificates for a plant agent."""

import pytest

from coolcap_agent import certs


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certs.Pki:
    return certs.make_pki(tmp_path_factory.mktemp("pki"), agents=["plant"])
