"""Tests of taking in a changed config: all of it or nothing, and no lease is lost."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from agent.controller.policies import ConstantPolicy
from coolcap_agent import certs
from coolcap_agent.controller.config import ControlConfig
from coolcap_agent.controller.policy_runner import LoadedPolicy, PolicyRunner
from coolcap_agent.controller.reload import ReloadError, reload
from support.small_fleet import NODES, SmallFleet
from support.small_site import SMALL_SITE
from support.tiny_bundle import write_tiny_bundle

LOWER = SMALL_SITE.replace("power_w = 2600.0", "power_w = 1500.0")


class Taker:
    """Takes configs in, and keeps what it was given."""

    def __init__(self, config: ControlConfig) -> None:
        self.config = config
        self.taken: list[LoadedPolicy] = []

    async def reconfigure(self, config: ControlConfig, loaded: LoadedPolicy) -> None:
        self.config = config
        self.taken.append(loaded)


@asynccontextmanager
async def taker(folder: Path, pki: certs.Pki, top: str = "") -> AsyncIterator[Taker]:
    async with SmallFleet(folder, pki).serve() as small:
        yield Taker(small.config(top=top))


def test_limits_budgets_and_bundle_are_taken_in(tmp_path: Path, pki: certs.Pki) -> None:
    write_tiny_bundle(tmp_path / "bundle")

    async def scenario() -> None:
        async with taker(tmp_path, pki) as control:
            (tmp_path / "small.toml").write_text(LOWER)
            config = control.config.path
            config.write_text('policy = "bundle"\n' + config.read_text())

            said = await reload(control)

            assert control.config.limits.budget_w[0] == 1500.0
            assert control.taken[0].graph_sha256
            assert "restart" not in said

    asyncio.run(scenario())


def damaged_bundle(folder: Path) -> None:
    write_tiny_bundle(folder / "bundle")
    graph = folder / "bundle" / "policy.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    ("break_it", "match"),
    [
        (lambda f: (f / "small.toml").write_text(SMALL_SITE + "\nx = ["), "not valid TOML"),
        (
            lambda f: (f / "small.toml").write_text(SMALL_SITE.replace("2600.0", "-1.0")),
            "power_w = -1",
        ),
        (damaged_bundle, "bundle"),
        (
            lambda f: (f / "small.toml").write_text(SMALL_SITE.replace("node-{}", "knot-{}")),
            "node",
        ),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_taken_in(
    tmp_path: Path, pki: certs.Pki, break_it: object, match: str
) -> None:
    async def scenario() -> None:
        write_tiny_bundle(tmp_path / "bundle")
        async with taker(tmp_path, pki, 'policy = "bundle"') as control:
            assert callable(break_it)
            break_it(tmp_path)
            before = control.config

            with pytest.raises(ReloadError, match=match):
                await reload(control)

            assert control.config is before
            assert control.taken == []

    asyncio.run(scenario())


def test_what_needs_a_restart_is_named(tmp_path: Path, pki: certs.Pki) -> None:
    async def scenario() -> None:
        async with taker(tmp_path, pki) as control:
            path = control.config.path
            path.write_text('metrics.listen = "127.0.0.1:9464"\n' + path.read_text())

            assert "a restart is needed for metrics" in await reload(control)
            assert control.config.metrics is None

    asyncio.run(scenario())


def test_loop_goes_on_with_new_limits_and_policy_and_moves_nothing_by_itself() -> None:
    bench = LoopBench(ConstantPolicy(-1.0))
    bench.plant.group.update(gpu_power_w=440.0, it_power_w=480.0)
    bench.decide(2)
    before = bench.plant.cap_w.copy()
    loaded = LoadedPolicy(policy=ConstantPolicy(1.0), name="other", graph_sha256="1" * 64)
    runner = PolicyRunner(loaded, deadline_s=5.0)
    limits = bench.budgets.configured

    bench.loop.reconfigure(limits, runner, work_value=2.0)
    np.testing.assert_array_equal(bench.plant.cap_w, before)
    bench.decide()
    runner.close()

    assert bench.records[-1].policy.name == "other"


async def soon(true: Callable[[], bool]) -> None:
    """Wait for something another process does, also on a busy machine."""
    async with asyncio.timeout(60.0):
        while not true():
            await asyncio.sleep(0.05)


@pytest.mark.slow
def test_hangup_takes_a_lower_budget_in_and_a_broken_one_not_and_no_lease_is_lost(
    tmp_path: Path, pki: certs.Pki
) -> None:
    async def scenario() -> None:
        async with SmallFleet(tmp_path, pki).serve() as small:
            path = small.config().path
            said = tmp_path / "control.log"
            with said.open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "coolcap_agent", "control", "--config", str(path)),
                    stdout=log,
                    stderr=log,
                )
            guards = [small.agents[name].guard for name in NODES]
            try:
                await soon(lambda: all(guard.leases.live() for guard in guards))
                await small.frame()
                epochs = [guard.leases.epoch for guard in guards]

                (tmp_path / "small.toml").write_text(LOWER)
                process.send_signal(signal.SIGHUP)
                await soon(lambda: "config taken in" in said.read_text())
                await soon(lambda: small.limits_w().sum() < 1500.0)

                (tmp_path / "small.toml").write_text(LOWER.replace("1500.0", '"many"'))
                process.send_signal(signal.SIGHUP)
                await soon(lambda: "stays as it was" in said.read_text())
                await small.frame()
                assert [guard.leases.epoch for guard in guards] == epochs
                assert all(guard.leases.live() for guard in guards)
                assert small.limits_w().sum() < 1500.0
            finally:
                process.terminate()
                await process.wait()

    asyncio.run(scenario())
