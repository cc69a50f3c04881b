"""``[election]`` of the controller's config."""

from pathlib import Path

import pytest

from coolcap_agent.controller.config import read_control_config
from coolcap_agent.controller.election import open_elector
from coolcap_agent.controller.election_config import ElectionConfig, ElectorKind
from coolcap_agent.controller.elector_etcd import EtcdElector
from coolcap_agent.controller.elector_kubernetes import KubernetesElector
from coolcap_agent.rpc.address import Address
from coolcap_envs.contract.errors import ConfigError
from support.small_fleet import NODES, SmallFleet


def election(fleet: SmallFleet, text: str) -> ElectionConfig | None:
    for number, name in enumerate((*NODES, "plant"), start=1):
        fleet.addresses[name] = Address(host="127.0.0.1", port=number)
    return fleet.config(tables=text).election


def problems(fleet: SmallFleet, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        election(fleet, text)
    return str(caught.value)


def test_without_the_table_the_controller_is_alone(fleet: SmallFleet) -> None:
    assert election(fleet, "") is None


def test_peers_are_named_with_their_addresses(fleet: SmallFleet) -> None:
    read = election(
        fleet, '[election]\n[[election.peers]]\nname = "second"\naddress = "10.0.0.2:7500"\n'
    )

    assert read is not None
    assert read.elector is ElectorKind.LEASES
    assert [(peer.name, str(peer.address)) for peer in read.peers] == [("second", "10.0.0.2:7500")]


def test_everything_wrong_is_told_at_once(fleet: SmallFleet) -> None:
    text = problems(
        fleet,
        '[election]\nelector = "etcd"\nvotes = 3\n[election.etcd]\nurl = "etcd:2379"\n'
        'key = "/x"\ncertificate_file = "a.crt"\n'
        '[[election.peers]]\nname = "control"\naddress = "nowhere"\n',
    )

    assert "must start with http:// or https://" in text
    assert "key_file go together" in text
    assert "is this controller itself" in text
    assert "votes" in text


def test_kubernetes_needs_a_lease_in_a_namespace(fleet: SmallFleet) -> None:
    text = problems(
        fleet, '[election]\nelector = "kubernetes"\n[election.kubernetes]\nlease = "hall-1"\n'
    )

    assert "must be NAMESPACE/NAME" in text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            '[election]\nelector = "etcd"\n'
            '[election.etcd]\nurl = "http://127.0.0.1:1"\nkey = "/x"\n',
            EtcdElector,
        ),
        (
            '[election]\nelector = "kubernetes"\n[election.kubernetes]\nlease = "a/b"\n'
            'url = "http://127.0.0.1:1"\nca_file = "ca.crt"\ntoken_file = "token"\n',
            KubernetesElector,
        ),
    ],
)
def test_elector_of_the_config_is_made(fleet: SmallFleet, text: str, kind: type) -> None:
    (fleet.folder / "token").write_text("secret\n")
    (fleet.folder / "ca.crt").write_bytes((fleet.pki.directory / "ca.crt").read_bytes())
    read = election(fleet, text)
    assert read is not None

    assert isinstance(open_elector(read, candidate="a", ttl_s=3.0), kind)


def test_token_that_cannot_be_read_is_told(fleet: SmallFleet, tmp_path: Path) -> None:
    read = election(
        fleet,
        '[election]\nelector = "kubernetes"\n[election.kubernetes]\nlease = "a/b"\n'
        f'ca_file = "{fleet.pki.directory}/ca.crt"\ntoken_file = "{tmp_path}/none"\n',
    )
    assert read is not None

    with pytest.raises(ConfigError, match="a file of the elector cannot be used"):
        open_elector(read, candidate="a", ttl_s=3.0)


def test_leases_alone_need_no_service(fleet: SmallFleet) -> None:
    read = election(fleet, "[election]\n")
    assert read is not None

    assert open_elector(read, candidate="a", ttl_s=3.0) is None


def test_config_is_read_whole(fleet: SmallFleet) -> None:
    """The table stands beside all others."""
    election(fleet, "[election]\n")

    assert read_control_config(fleet.folder / "control.toml").name == "control"
