"""Certificates are read by a process of their own, whose findings come back."""

import os

import pytest

from coolcap_agent.rpc.identity import in_a_child
from coolcap_envs.contract.errors import ConfigError


def test_result_is_that_of_the_function_and_comes_from_another_process() -> None:
    assert in_a_child(os.getpid) != os.getpid()


def test_all_problems_come_back() -> None:
    def load() -> None:
        raise ConfigError("node.toml", ["key is missing", "certificate has expired"])

    with pytest.raises(ConfigError) as caught:
        in_a_child(load)

    assert caught.value.origin == "node.toml"
    assert caught.value.problems == ("key is missing", "certificate has expired")


def test_process_that_dies_is_noticed() -> None:
    with pytest.raises(ChildProcessError):
        in_a_child(lambda: os._exit(3))
