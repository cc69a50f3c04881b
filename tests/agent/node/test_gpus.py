"""A GPU's calls stay in its own thread; one that hangs is waited for once."""

import asyncio
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.daemon.point import LeaseOver
from coolcap_agent.daemon.state_dir import StateDir
from coolcap_agent.daemon.worker import TimedOut, Unreachable
from coolcap_agent.drivers.simulated_gpu import SimulatedGpuDriver
from coolcap_agent.node.agent import open_node
from coolcap_agent.node.gpus import Gpus
from coolcap_agent.sim.hall_layout import Fault
from support.small_node import SmallNode


@pytest.fixture
def node(tmp_path: Path, pki: certs.Pki) -> SmallNode:
    return SmallNode(tmp_path, pki)


def test_write_that_hangs_times_out_and_the_next_is_not_even_tried(node: SmallNode) -> None:
    async def play() -> None:
        gpus = Gpus(node.config().driver, deadline_s=0.1)
        await gpus.open(deadline_s=5.0)
        uuid = node.uuids[0]
        node.fault(0, Fault.HANG)
        with pytest.raises(TimedOut):
            await gpus.set_power_limit(uuid, 300.0, allowed=lambda: True)
        begin_s = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable):
            await gpus.set_power_limit(uuid, 200.0, allowed=lambda: True)
        assert asyncio.get_running_loop().time() - begin_s < 0.05
        node.fault(0, Fault(0))
        await gpus.close()

    asyncio.run(play())


def test_write_is_not_made_when_it_is_not_allowed_any_more(node: SmallNode) -> None:
    async def play() -> None:
        gpus = Gpus(node.config().driver, deadline_s=1.0)
        await gpus.open(deadline_s=5.0)
        with pytest.raises(LeaseOver):
            await gpus.set_power_limit(node.uuids[0], 300.0, allowed=lambda: False)
        await gpus.close()

    asyncio.run(play())
    assert node.limits_w() == [500.0, 500.0]


def test_other_managers_of_limits_are_named_at_the_start(
    node: SmallNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rights = {"missing": "", "foreign_managers": ["nv-hostengine: DCGM sets limits again"]}
    monkeypatch.setattr(SimulatedGpuDriver, "rights", lambda _driver: rights)

    async def play() -> None:
        config = node.config()
        with StateDir(config.agent.state_dir) as state:
            agent = await open_node(config, state)
            await agent.close()

    asyncio.run(play())

    assert "may change limits: nv-hostengine" in caplog.text
