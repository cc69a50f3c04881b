"""The coordinator against a real controller over mutual TLS, and its config."""

import asyncio
from pathlib import Path

import pytest

from agent.controller.test_service import opened
from coolcap_agent import certs
from coolcap_agent.checking import check
from coolcap_agent.controller.election_config import PeerConfig
from coolcap_agent.coordinator.config import HallConfig, read_coordinator_config
from coolcap_agent.coordinator.coordinator import Coordinator
from coolcap_agent.coordinator.remote_hall import RemoteHall
from coolcap_agent.rpc.address import Address, parse_address
from coolcap_agent.rpc.identity import TlsFiles, Usage
from coolcap_agent.rpc.tls import load_tls
from coolcap_envs.contract.errors import ConfigError
from support.small_fleet import NODES, SmallFleet

CONFIG = """
budget_w = 2000.0
[identity]
certificate_file = "a.crt"
key_file = "a.key"
ca_file = "ca.crt"
[[halls]]
name = "hall-1"
floor_w = {floor}
ceiling_w = 1800.0
[[halls.controllers]]
name = "control-1"
address = "127.0.0.1:7500"
[[halls]]
name = "hall-2"
floor_w = 300.0
ceiling_w = {ceiling}
[[halls.controllers]]
name = "control-2"
address = "{address}"
"""


def config(folder: Path, **changed: str) -> Path:
    values = {"floor": "300.0", "ceiling": "1800.0", "address": "127.0.0.1:7501", **changed}
    path = folder / "site.toml"
    path.write_text(CONFIG.format(**values))
    return path


def test_config_is_read_with_its_defaults(tmp_path: Path) -> None:
    read = read_coordinator_config(config(tmp_path))

    assert (read.budget_w, read.period_s) == (2000.0, 10.0)
    assert [(hall.name, hall.budget, hall.priority) for hall in read.halls] == [
        ("hall-1", "site", 1),
        ("hall-2", "site", 1),
    ]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = config(tmp_path, floor="1900.0", ceiling="200.0", address="nowhere")

    with pytest.raises(ConfigError) as caught:
        read_coordinator_config(path)

    text = str(caught.value)
    assert "ceiling_w = 200 W is below floor_w 300 W" in text
    assert "ceiling_w = 1800 W is below floor_w 1900 W" in text
    assert "below the sum of all floors, 2200 W" in text
    assert "address" in text


def test_check_knows_the_file_and_reads_its_certificates(tmp_path: Path) -> None:
    report = check(config(tmp_path))

    assert report.kind == "coordinate"
    assert report.problems
    assert all("a.crt" in text or "a.key" in text or "ca.crt" in text for text in report.problems)


def test_halls_controller_is_told_its_share(tmp_path: Path) -> None:
    pki = certs.make_pki(
        tmp_path / "pki", agents=[*NODES, "plant"], controllers=["control"], operators=["site"]
    )
    small = SmallFleet(tmp_path, pki)

    async def scene() -> None:
        async with opened(small) as desk:
            await desk.tick()
            files = TlsFiles(
                certificate=pki.directory / "site.crt",
                key=pki.directory / "site.key",
                ca=pki.directory / "ca.crt",
            )
            tls = load_tls(files, usages=(Usage.CLIENT,), origin="test")
            hall = RemoteHall(hall_config(parse_address(desk.person().address)), tls=tls)
            silent = RemoteHall(hall_config(Address(host="127.0.0.1", port=1), "dark"), tls=tls)
            try:
                await Coordinator([hall, silent], budget_w=4000.0).step()
                budget = desk.controller.budgets.change("site")

                assert budget is not None
                assert budget.budget_w == pytest.approx(4000.0 - 2400.0)
                assert budget.reason == "share of the site's 4000 W"
            finally:
                await hall.close()
                await silent.close()

    asyncio.run(scene())


def hall_config(address: Address, name: str = "hall-1") -> HallConfig:
    return HallConfig(
        name=name,
        budget="site",
        floor_w=1500.0,
        ceiling_w=2400.0,
        priority=1,
        controllers=(PeerConfig(name="control", address=address),),
    )
