"""Tests of statistics of work, of the fit to recordings, and of the profile it makes."""

from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.config import site_path
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.site import load_site
from coolcap_envs.workload.alibaba import read_jobs
from coolcap_envs.workload.azure import read_requests
from coolcap_envs.workload.demand import BLOCK_STEPS, DemandGenerator, class_table
from coolcap_envs.workload.profile import load_profile, shipped_profiles, with_profile
from coolcap_envs.workload.statistics import Course, fit_course, fit_jobs, fit_requests, generated
from support.reference_data import reference_file

SITE = load_site("lab-16")
DECODE = WORKLOAD_CLASSES.index("decode")


def test_statistics_of_a_known_course() -> None:
    course = Course.of(np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0]))

    assert course.pause_share == 0.2
    assert course.burst_share == 0.1
    assert course.median == 1.0
    assert course.variation_ratio == pytest.approx(np.sqrt(0.6))


def test_a_course_drawn_with_the_fit_has_the_statistics_of_the_one_fitted() -> None:
    """The generator itself makes the recording, so that the truth is known."""
    values = {
        "noise_ratio": 0.2,
        "noise_time_s": 120.0,
        "burst_per_h": 6.0,
        "burst_mean_s": 90.0,
        "burst_ratio": 0.7,
        "pause_per_h": 5.0,
        "pause_mean_s": 120.0,
        "pause_load_ratio": 0.0,
        "load_mean_ratio": 0.25,
        "daily_swing_ratio": 0.0,
    }

    def table(decode: dict[str, float]) -> FloatArray:
        return class_table(with_profile(SITE.workload, {"decode": decode}))

    truth = generated(table(values), DECODE)
    alone = table(values)
    alone[:, 0] = np.eye(len(WORKLOAD_CLASSES))[DECODE]
    demand = np.zeros((24 * BLOCK_STEPS, 1))
    generator = DemandGenerator(alone, 1, np.random.default_rng(2))
    generator.fill(demand, np.zeros(demand.shape, dtype=np.int8), local_hour=0.0)

    fitted = fit_course(demand[:, 0] / demand.mean())

    again = generated(table(values | fitted), DECODE)
    assert again.variation_ratio == pytest.approx(truth.variation_ratio, rel=0.15)
    assert again.pause_share == pytest.approx(truth.pause_share, abs=0.06)
    assert again.burst_share == pytest.approx(truth.burst_share, abs=0.06)
    assert again.correlation == pytest.approx(truth.correlation, abs=0.2)


def test_a_steady_course_has_neither_bursts_nor_pauses() -> None:
    fitted = fit_course(1.0 + 0.05 * np.sin(np.arange(400.0)))

    assert fitted["burst_per_h"] == fitted["pause_per_h"] == 0.0
    assert fitted["noise_ratio"] == pytest.approx(0.05 / np.sqrt(2.0), rel=0.01)
    assert "burst_ratio" not in fitted


def test_the_shipped_profile_is_the_fit_of_the_published_recordings() -> None:
    profile = load_profile("recorded-2023")
    requests = read_requests(reference_file("workload/AzureLLMInferenceTrace_code.csv"))
    jobs = read_jobs(reference_file("workload/v2023_openb_pod_list_default.csv"))

    for name, values in fit_requests(requests).items():
        for key, value in values.items():
            assert profile[name][key] == pytest.approx(value, rel=2e-3), f"{name}.{key}"
    fitted = fit_jobs(jobs)
    serving = profile["prefill"]["share_ratio"] + profile["decode"]["share_ratio"]
    assert serving == pytest.approx(fitted["decode"]["share_ratio"], rel=2e-3)
    assert profile["training"] == pytest.approx(fitted["training"], rel=2e-3)


def test_the_generator_with_the_shipped_profile_is_as_bursty_as_the_recording() -> None:
    """
    Published for prompts and answers: variation 1.27 and 1.29, neighbouring steps correlated by
    0.23 and 0.29, pauses 0.37 and 0.38, bursts 0.15 and 0.17 of all steps.
    """
    workload = with_profile(SITE.workload, load_profile("recorded-2023"))
    for name in ("prefill", "decode"):
        course = generated(class_table(workload), WORKLOAD_CLASSES.index(name))
        assert course.variation_ratio == pytest.approx(1.28, abs=0.2)
        assert course.correlation == pytest.approx(0.26, abs=0.15)
        assert course.pause_share == pytest.approx(0.37, abs=0.03)
        assert course.burst_share == pytest.approx(0.16, abs=0.07)


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_cover_all_time(name: str) -> None:
    shares = [values["share_ratio"] for values in load_profile(name).values()]

    assert sum(shares) == pytest.approx(1.0, abs=1e-3)


def test_all_problems_of_a_profile_come_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "[decode]\nnoise_ratio = { value = 3.0 }\nbursts = 1\n[sleeping]\nshare_ratio = 1\n",
        encoding="utf-8",
    )

    with pytest.raises(ConfigError) as caught:
        load_profile(str(path))

    said = str(caught.value)
    assert "decode.noise_ratio.value = 3 1 is outside 0 to 1 1" in said
    assert "decode.noise_ratio.source is missing" in said
    assert "unknown key 'decode.bursts'" in said
    assert "unknown key 'sleeping'" in said


def test_a_site_can_name_a_profile_and_a_recording(tmp_path: Path) -> None:
    text = site_path("lab-16").read_text(encoding="utf-8")
    text = text.replace(
        "[simulation.workload.training]",
        '[simulation.workload]\nprofile = "recorded-2023"\n[simulation.workload.training]',
    )
    (tmp_path / "requests.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-01-01 00:00:00,1,1\n"
        "2023-01-01 00:00:40,1,1\n2023-01-01 00:01:30,1,1\n",
        encoding="utf-8",
    )
    text += '[simulation.trace]\nkind = "azure-llm"\nfile = "requests.csv"\nsource = "made up"\n'
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")

    site = load_site(path)

    assert site.workload["decode"]["noise_ratio"] == pytest.approx(0.5424)
    assert site.workload["decode"]["peak_hour"] == SITE.workload["decode"]["peak_hour"]
    assert site.trace == f"azure-llm:{tmp_path / 'requests.csv'}"


def test_a_site_whose_recording_is_wrong_does_not_load(tmp_path: Path) -> None:
    text = site_path("lab-16").read_text(encoding="utf-8")
    (tmp_path / "requests.csv").write_text("TIMESTAMP,Tokens\n", encoding="utf-8")
    text += '[simulation.trace]\nkind = "azure-llm"\nfile = "requests.csv"\nsource = "made up"\n'
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(
        ConfigError, match=r"simulation\.trace .*requests\.csv: row 1 has no column"
    ):
        load_site(path)
