"""The host's config is read whole, and every problem is told at once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from coolcap_agent.sim.config import PlantFault, SimConfig, read_sim_config
from coolcap_envs.contract.errors import ConfigError

SMALLEST = """
site = "lab-16"
start_time = "2025-07-15T02:00:00+02:00"
hall_file = "run/hall"
"""


def read(folder: Path, text: str) -> SimConfig:
    (folder / "sim.toml").write_text(text)
    return read_sim_config(folder / "sim.toml")


def test_smallest_config_takes_defaults_and_paths_beside_itself(tmp_path: Path) -> None:
    assert read(tmp_path, SMALLEST) == SimConfig(
        site="lab-16",
        seed=1,
        start_time_s=datetime(2025, 7, 15, tzinfo=UTC).timestamp(),
        duration_s=86400.0,
        hall_file=tmp_path / "run" / "hall",
    )


def test_every_key_is_read(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        SMALLEST
        + """
        seed = 7
        weather = "miami"
        randomise_ratio = 0.5
        duration_s = 3600.0
        period_s = 10.0
        frames_per_period = 4
        summary_file = "/somewhere/truth.json"
        ack_timeout_s = 0.0
        start_timeout_s = 5.0
        speed = 60.0
        [[faults]]
        device = "chiller"
        start_s = 600.0
        duration_s = 300.0
        available_ratio = 0.5
        [log]
        format = "json"
        """,
    )

    assert (config.seed, config.weather) == (7, "miami")
    assert (config.duration_s, config.period_s, config.speed) == (3600.0, 10.0, 60.0)
    assert config.randomise_ratio == 0.5
    assert config.frames_per_period == 4
    assert config.summary_file == Path("/somewhere/truth.json")
    assert (config.ack_timeout_s, config.start_timeout_s) == (0.0, 5.0)
    fault = PlantFault(device="chiller", start_s=600.0, duration_s=300.0, available_ratio=0.5)
    assert config.faults == (fault,)
    assert config.log.format == "json"


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(
            tmp_path,
            """
            site = "lab-16"
            start_time = "2025-07-15T00:00:00"
            period_s = 600.0
            sped = 2.0
            [[faults]]
            device = "boiler"
            start_s = 0.0
            duration_s = 60.0
            available_ratio = 1.5
            """,
        )

    assert str(caught.value).startswith(f"{tmp_path / 'sim.toml'}: ")
    assert caught.value.problems == (
        "start_time = '2025-07-15T00:00:00' is not allowed: an instant with offset such as "
        "'2025-07-15T00:00:00Z' is needed",
        "period_s = 600 s is outside 5 to 30 s",
        "hall_file is missing: a text is needed",
        "faults[0].device = 'boiler' is not allowed: one of crah, chiller, tower, pump is needed",
        "faults[0].available_ratio = 1.5 (ratio) is outside 0 to 1 (ratio)",
        "unknown key 'sped'",
    )


def test_period_the_plant_model_cannot_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"period_s = 20 s .* one of 5, 10, 15, 30 s is needed"):
        read(tmp_path, SMALLEST + "period_s = 20.0")


def test_named_files_are_relative_to_the_configs_folder(tmp_path: Path) -> None:
    path = tmp_path / "sim.toml"
    path.write_text(
        'site = "lab-16"\nstart_time = "2025-07-15T00:00:00Z"\nhall_file = "hall"\n'
        'workload = "recorded-2023"\ntrace = "csv:week.csv"\nfault_plan = "plan.toml"\n',
        encoding="utf-8",
    )

    found = read_sim_config(path)

    assert found.workload == "recorded-2023"
    assert found.trace == f"csv:{tmp_path / 'week.csv'}"
    assert found.fault_plan == str(tmp_path / "plan.toml")
