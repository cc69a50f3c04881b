"""The elector against a real etcd, where one is installed (Debian: etcd-server)."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from coolcap_agent.controller.elector_etcd import EtcdElector
from coolcap_agent.demo.processes import free_port

ETCD = shutil.which("etcd")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    if ETCD is None:
        pytest.skip("etcd is not installed; `make test-servers` installs it")
    here, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [ETCD, "--data-dir", str(tmp_path / "etcd"), "--log-level", "error"]
    command += ["--listen-client-urls", here, "--advertise-client-urls", here]
    command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
    command += ["--initial-cluster", f"default={peers}"]
    with (
        (tmp_path / "etcd.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _wait(f"{here}/health", process)
            yield here
        finally:
            process.kill()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert process.poll() is None, "etcd ended"
        try:
            if httpx.get(url, timeout=1.0).json().get("health") == "true":
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("etcd did not become healthy")


def candidate(client: httpx.AsyncClient, name: str) -> EtcdElector:
    elector = EtcdElector(client, office="/coolcap/hall", candidate=name, ttl_s=5.0)
    elector.want(True)
    return elector


@pytest.mark.slow
def test_etcd_elects_one_keeps_it_and_passes_the_office_on(url: str) -> None:
    async def scene() -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            await elect(candidate(client, "a"), candidate(client, "b"))

    async def elect(a: EtcdElector, b: EtcdElector) -> None:
        for _ in range(3):
            await a.turn()
            await b.turn()
            assert (a.may_lead, b.may_lead) == (True, False)

        a.want(False)
        await a.turn()
        await b.turn()
        assert (a.may_lead, b.may_lead) == (False, True)

        a.want(True)
        await a.turn()
        assert (a.may_lead, b.may_lead) == (False, True)

    asyncio.run(scene())
