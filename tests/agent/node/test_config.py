"""A node agent's config: all problems at once, with file and key."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.node.config import check_node_config, read_node_config
from coolcap_envs.contract.errors import ConfigError
from support.small_node import CONFIG

GOOD = CONFIG.format(top="", limits="[limits]\npower_cap_max_w = 450.0")


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read_node_config(path)
    assert str(path) in str(caught.value)
    return caught.value.problems


def test_defaults_suit_real_hardware(tmp_path: Path) -> None:
    config = read_node_config(write(tmp_path, GOOD))

    assert config.agent.sample_period_s == 1.0
    assert config.agent.simulated_clock is None
    assert config.agent.state_dir == tmp_path / "state"
    assert config.agent.server.listen.loopback
    assert config.limits.common.power_cap_max_w == 450.0


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace('node_id = "node-1"', "sample_period_s = 0.0\nshow = true")
        .replace("[server]", '[server]\nlisten = "nowhere"')
        .replace("ttl_max_s = 3.0", "ttl_max_s = 1.0")
        .replace('hall = "hall.bin"', "")
        .replace("power_cap_max_w", "power_cap_mx_w")
    )

    found = problems(write(tmp_path, text))

    assert len(found) == 7
    for part in (
        "node_id is missing",
        "sample_period_s = 0 s is outside 0.1 to 3600 s",
        "server.listen = 'nowhere' is not allowed: address 'nowhere' is not host:port",
        "lease.ttl_default_s must not be above ttl_max_s = 1 s",
        "unknown key 'limits.power_cap_mx_w'",
        "driver.simulated.hall is missing",
        "unknown key 'show'",
    ):
        assert any(part in problem for problem in found), part


def test_limits_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("power_cap_min_w = 333.0\n")
    text = CONFIG.format(top='limits_file = "limits.toml"', limits="")

    config = read_node_config(write(tmp_path, text))

    assert config.limits.common.power_cap_min_w == 333.0
    assert config.limits.origin == str(tmp_path / "limits.toml")


def test_limits_in_two_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("power_cap_min_w = 333.0\n")
    text = CONFIG.format(top='limits_file = "limits.toml"', limits="[limits]")

    assert problems(write(tmp_path, text)) == (
        "limits_file and [limits] are both given: keep one of them",
    )


def test_checking_finds_an_expired_certificate_without_connecting(tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=40)
    certs.make_pki(tmp_path, agents=["node-1"], days=30, now=long_ago)

    with pytest.raises(ConfigError, match=r"node-1.crt has expired .*renew it"):
        check_node_config(write(tmp_path, GOOD))


def test_checking_finds_the_certificate_of_another_node(tmp_path: Path) -> None:
    pki = certs.make_pki(tmp_path, agents=["node-1", "node-2"])
    for there, here in (
        (pki.files("node-2").certificate, pki.files("node-1").certificate),
        (pki.files("node-2").key, pki.files("node-1").key),
    ):
        shutil.copy(there, here)

    with pytest.raises(ConfigError, match="node-1"):
        check_node_config(write(tmp_path, GOOD))


def test_node_id_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, GOOD.replace('node_id = "node-1"', 'node_id = "env:NODE_NAME"'))
    monkeypatch.setenv("NODE_NAME", "gpu-17")
    assert read_node_config(path).agent.agent_id == "gpu-17"

    monkeypatch.delenv("NODE_NAME")
    assert problems(path) == (
        "node_id = 'env:NODE_NAME': the environment has no such variable, or it is empty",
    )
