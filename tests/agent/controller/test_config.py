"""Every mistake in a controller's config, all at once."""

from pathlib import Path

import pytest

from coolcap_agent.certs import make_pki
from coolcap_agent.controller.agent_address import AgentKind
from coolcap_agent.controller.config import (
    check_control_config,
    read_control_config,
)
from coolcap_agent.controller.modes import Mode
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.signature import sign
from support.signing_keys import write_keys
from support.small_site import SMALL_SITE
from support.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).parents[3]
GOOD = """
site = "small.toml"
state_dir = "state"
{top}

[server]
listen = "127.0.0.1:7500"
certificate_file = "pki/control.crt"
key_file = "pki/control.key"
ca_file = "pki/ca.crt"

[[agents]]
name = "node-1"
kind = "node"
address = "127.0.0.1:7501"

[[agents]]
name = "node-2"
kind = "node"
address = "127.0.0.1:7502"

[[agents]]
name = "plant"
kind = "plant"
address = "[::1]:7503"
{tables}
"""


def write(folder: Path, text: str = GOOD, *, top: str = "", tables: str = "") -> Path:
    (folder / "small.toml").write_text(SMALL_SITE)
    path = folder / "control.toml"
    path.write_text(text.format(top=top, tables=tables))
    return path


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read_control_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    return caught.value.problems


def test_defaults_are_careful(tmp_path: Path) -> None:
    config = read_control_config(write(tmp_path))

    assert config.loop.mode is Mode.SHADOW
    assert config.policy is None
    assert config.telemetry.file == tmp_path / "state" / "telemetry.lp"
    assert [agent.kind for agent in config.agents] == [AgentKind.NODE] * 2 + [AgentKind.PLANT]
    assert str(config.agents[2].address) == "[::1]:7503"
    assert config.layout.name == "small"


def test_all_problems_come_at_once_with_their_keys(tmp_path: Path) -> None:
    text = GOOD.replace('kind = "plant"', 'kind = "cooling"').replace("7501", "x")

    found = problems(
        write(tmp_path, text, top='mode = "hold"\nwork_value = 9.0\npolicy_perod_s = 30.0')
    )

    texts = "\n".join(found)
    assert "agents[2].kind = 'cooling' is not allowed: one of node, plant, relay is needed" in texts
    assert "agents[0].address is not allowed" in texts
    assert "mode = 'hold' is not allowed: one of off, shadow, advise, auto is needed" in texts
    assert "work_value = 9" in texts
    assert "unknown key 'policy_perod_s'" in texts


def test_every_node_of_the_site_and_one_plant_are_needed(tmp_path: Path) -> None:
    text = GOOD.replace('"node-2"', '"node-7"').replace('kind = "plant"', 'kind = "node"')

    texts = "\n".join(problems(write(tmp_path, text)))

    assert "agents lacks 1 nodes of site small: node-2" in texts
    assert "agents[1].name = 'node-7' is no node of site small" in texts
    assert "agents has 0 of kind plant: exactly one is needed" in texts


def test_one_name_for_two_agents_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace('"node-2"', '"node-1"')

    assert any("stands in two tables" in found for found in problems(write(tmp_path, text)))


def test_unknown_site_is_told_with_the_shipped_ones(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace('"small.toml"', '"lab-61"'))

    assert any("lab-16" in found for found in problems(path))


def test_problems_of_the_site_file_are_told_too(tmp_path: Path) -> None:
    path = write(tmp_path, top="work_value = 9.0")
    (tmp_path / "small.toml").write_text(SMALL_SITE.replace("power_w = 2600.0", "power_w = -1.0"))

    texts = "\n".join(problems(path))

    assert "small.toml: budgets[0].power_w = -1 W is outside" in texts
    assert "work_value = 9" in texts


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("policy_deadline_s = 0.8", "must be at least policy_deadline_s + answer_deadline_s"),
        ("lease_ttl_s = 2.0", "lease_ttl_s = 2 s must be at least three times fast_period_s"),
        ("policy_period_s = 1.0\nfast_period_s = 2.0", "must not be above policy_period_s"),
    ],
)
def test_periods_that_cannot_be_kept_are_refused(tmp_path: Path, top: str, said: str) -> None:
    assert any(said in found for found in problems(write(tmp_path, top=top)))


def test_database_makes_the_local_file_optional(tmp_path: Path) -> None:
    tables = '[telemetry.influxdb]\nurl = "http://127.0.0.1:8086"\ntoken_file = "token"'
    (tmp_path / "token").write_text("secret\n")

    config = read_control_config(write(tmp_path, tables=tables))

    assert config.telemetry.file is None
    assert config.telemetry.influx is not None
    assert config.telemetry.influx.token() == "secret"


def test_address_of_a_database_must_say_how_it_is_spoken_to(tmp_path: Path) -> None:
    tables = '[telemetry.influxdb]\nurl = "127.0.0.1:8086"'

    assert any(
        "must start with http:// or https://" in found
        for found in problems(write(tmp_path, tables=tables))
    )


def test_check_looks_at_certificates_bundle_and_token_as_well(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "bundle", schema_hash="0123456789abcdef")
    tables = '[telemetry.influxdb]\nurl = "http://127.0.0.1:8086"\ntoken_file = "token"'
    path = write(tmp_path, top='policy = "bundle"', tables=tables)

    with pytest.raises(ConfigError) as caught:
        check_control_config(path)

    texts = "\n".join(caught.value.problems)
    assert "certificate" in texts
    assert "schema 0123456789abcdef of the bundle is not" in texts


def test_check_of_a_good_config_finds_nothing(tmp_path: Path) -> None:
    make_pki(tmp_path / "pki", agents=["node-1"])
    write_tiny_bundle(tmp_path / "bundle")

    config = check_control_config(write(tmp_path, top='policy = "bundle"'))

    assert config.policy == tmp_path / "bundle"


def test_check_refuses_a_bundle_that_the_holder_of_the_key_did_not_sign(tmp_path: Path) -> None:
    make_pki(tmp_path / "pki", agents=["node-1"])
    write_tiny_bundle(tmp_path / "bundle")
    private, _ = write_keys(tmp_path, "ours")
    path = write(tmp_path, top='policy = "bundle"\npolicy_key = "ours.pub"')

    with pytest.raises(ConfigError) as caught:
        check_control_config(path)
    sign(tmp_path / "bundle", private_key=private)

    assert "only bundles signed by the holder of" in "\n".join(caught.value.problems)
    assert check_control_config(path).policy_key == tmp_path / "ours.pub"


def test_shipped_example_is_a_valid_config() -> None:
    config = read_control_config(ROOT / "deploy" / "examples" / "control.toml")

    assert config.layout.name == "lab-16"
