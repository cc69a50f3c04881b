"""Who may reach the console is said in its config, and a careless one is refused."""

from pathlib import Path

import pytest

from coolcap_agent.console.config import ConsoleConfig, read_console_config
from coolcap_envs.contract.config import Table
from coolcap_envs.contract.errors import ConfigError


def read(folder: Path, **values: object) -> tuple[ConsoleConfig | None, list[str]]:
    problems: list[str] = []
    root = Table({"console": values}, path="", problems=problems)
    return read_console_config(root, folder=folder), problems


def token_file(folder: Path, text: str, mode: int = 0o600) -> ConsoleConfig:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(mode)
    config, _ = read(folder, token_file="tokens")
    assert config is not None
    return config


def test_there_is_no_console_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert read_console_config(Table({}, path="", problems=[]), folder=tmp_path) is None


def test_default_is_this_machine_only_and_read_only(tmp_path: Path) -> None:
    config, problems = read(tmp_path)

    assert problems == []
    assert config is not None
    assert config.listen.loopback
    assert config.anonymous_read
    assert config.tokens() == {}


def test_plain_http_is_refused_where_others_can_reach_it(tmp_path: Path) -> None:
    _, problems = read(tmp_path, listen="0.0.0.0:8088")

    (problem,) = problems
    assert "console.tls" in problem
    assert "set tls = true" in problem


def test_others_must_show_who_they_are_to_read(tmp_path: Path) -> None:
    config, problems = read(tmp_path, listen="10.0.0.5:8088", tls=True)

    assert problems == []
    assert config is not None
    assert not config.anonymous_read


def test_tokens_name_the_people_they_belong_to(tmp_path: Path) -> None:
    config = token_file(tmp_path, "# the night shift\nada 0123456789abcdef\nbob fedcba9876543210\n")

    assert config.tokens() == {"0123456789abcdef": "ada", "fedcba9876543210": "bob"}


def test_every_problem_of_a_token_file_is_told(tmp_path: Path) -> None:
    config = token_file(tmp_path, "ada short\nbob\neve 0123456789abcdef\nzoe 0123456789abcdef\n")
    (tmp_path / "tokens").chmod(0o644)

    with pytest.raises(ConfigError) as caught:
        config.tokens()

    said = str(caught.value)
    for part in ("chmod 600", "line 1: the token of ada", "line 2", "line 4", "also eve's"):
        assert part in said
