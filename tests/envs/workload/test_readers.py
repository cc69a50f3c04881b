"""Tests of the readers of recorded work."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.site import load_site
from coolcap_envs.workload.alibaba import read_gpu_counts, read_jobs
from coolcap_envs.workload.azure import read_requests
from coolcap_envs.workload.own_csv import read_own
from coolcap_envs.workload.source import open_trace, split_source
from coolcap_envs.workload.trace import TableTrace
from support.reference_data import reference_file

SITE = load_site("lab-16")
NAMES = SITE.layout.group_names
DECODE = WORKLOAD_CLASSES.index("decode")

REQUESTS = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.0000000,100,10
2023-11-16 18:17:40.5000000,300,0
2023-11-16 18:18:10.2500000,200,50
"""
PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
a,1,1,1,1000,,LS,Running,0,7200,10
b,1,1,0,0,,LS,Running,5,7200,10
c,1,1,1,500,,BE,Failed,60,960,60
d,1,1,8,1000,,LS,Succeeded,100,3700,100
e,1,1,1,1000,,LS,Pending,200,300,
"""  # noqa: E501


def write(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def said(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path)
    return str(caught.value)


def test_requests_are_read_with_parts_of_seconds(tmp_path: Path) -> None:
    requests = read_requests(write(tmp_path, REQUESTS))

    assert requests.time_s.tolist() == [0.0, 37.5, 67.25]
    assert requests.context_tokens.tolist() == [100.0, 300.0, 200.0]
    # Whole steps of 30 s only: the last one has not ended.
    assert requests.per_step(requests.context_tokens).tolist() == [0.5, 1.5]


def test_all_problems_of_requests_come_in_one_message(tmp_path: Path) -> None:
    text = REQUESTS + "yesterday,1,1\n2023-11-16 18:17:00.0,-5,1\n2023-11-16 18:19:00.0,1\n"

    message = said(read_requests, write(tmp_path, text))

    assert message.startswith(str(tmp_path / "trace.csv"))
    assert "time or tokens are missing or no numbers in row 5, row 7" in message
    assert "time goes back in row 6" in message
    assert "ContextTokens is outside 0 to 10000000 in row 6" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("TIMESTAMP,Tokens\n", "no column 'ContextTokens', 'GeneratedTokens'"),
        ("", "no column 'TIMESTAMP'"),
        (REQUESTS[: REQUESTS.index("2023-11-16 18:18")], "spans 37.5 s; at least 60 s are needed"),
        (REQUESTS.replace(",10\n", ",0\n").replace(",50\n", ",0\n"), "GeneratedTokens is 0 in ev"),
    ],
)
def test_requests_that_cannot_be_used_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in said(read_requests, write(tmp_path, text))


def test_the_published_requests_are_read() -> None:
    requests = read_requests(reference_file("workload/AzureLLMInferenceTrace_code.csv"))

    assert len(requests.time_s) == 8819
    assert requests.context_tokens.mean() == pytest.approx(2047.8, abs=0.1)
    assert requests.generated_tokens.mean() == pytest.approx(27.9, abs=0.1)


def test_jobs_are_read_with_their_class(tmp_path: Path) -> None:
    jobs = read_jobs(write(tmp_path, PODS))

    assert jobs.arrival_s.tolist() == [0.0, 60.0, 100.0]
    assert jobs.run_s.tolist() == [7190.0, 900.0, 3600.0]
    assert [WORKLOAD_CLASSES[k] for k in jobs.work_class] == ["decode", "memory_bound", "training"]
    assert jobs.share_ratio.tolist() == [1.0, 0.5, 1.0]
    assert jobs.notes == ("1 pods without a GPU and 1 never scheduled are left out",)


def test_all_problems_of_jobs_come_in_one_message(tmp_path: Path) -> None:
    text = PODS + (
        "f,1,1,1,1000,,LS,Failed,150,900,160\n"
        "g,1,1,1,1000,,XX,Failed,400,300,350\n"
        "h,1,1,1,1500,,LS,Failed,400,900,450\n"
        "i,1,1,one,1000,,LS,Failed,400,900,450\n"
    )

    message = said(read_jobs, write(tmp_path, text))

    assert "creation_time goes back in row 7" in message
    assert "deletion_time is before creation_time or scheduled_time in row 8" in message
    assert "scheduled_time is before creation_time in row 8" in message
    assert "qos is none of LS, BE, Burstable, Guaranteed in row 8" in message
    assert "gpu_milli is outside 1 to 1000 in row 9" in message
    assert "a number is missing in row 10" in message


def test_the_published_jobs_and_nodes_are_read() -> None:
    jobs = read_jobs(reference_file("workload/v2023_openb_pod_list_default.csv"))
    counts = read_gpu_counts(reference_file("workload/v2023_openb_node_list_gpu_node.csv"))

    assert len(jobs.arrival_s) == 6203
    assert jobs.notes == ("1088 pods without a GPU and 861 never scheduled are left out",)
    assert sum(counts.values()) == 6212


def table(rows: list[str], column: str = "load_ratio") -> str:
    return "\n".join([f"time_s,group,work_class,{column},job", *rows]) + "\n"


def read(path: Path) -> TableTrace:
    return read_own(path, SITE.layout, SITE.gpu_models)


def test_a_table_of_ones_own_is_read_and_the_rest_left_to_the_generator(tmp_path: Path) -> None:
    rows = [
        f"0,{NAMES[0]},training,1.0,big", f"0,{NAMES[1]},training,0.9,big",
        f"60,{NAMES[0]},decode,0.4,", f"60,{NAMES[1]},training,1.1,",
    ]  # fmt: skip

    trace = read(write(tmp_path, table(rows)))

    assert trace.demand.shape == (4, 16)  # steps of 60 s are two of 30 s
    assert trace.demand[:, 0].tolist() == pytest.approx([1.0, 1.0, 0.4, 0.4])
    assert trace.classes[:, 0].tolist() == [0, 0, DECODE, DECODE]
    assert np.isnan(trace.demand[:, 2:]).all()
    assert (trace.classes[:, 2:] == -1).all()
    assert trace.job is not None
    assert trace.job[:, :2].tolist() == [[0, 0], [0, 0], [-1, -1], [-1, -1]]
    assert trace.is_from_start


def test_recorded_power_becomes_the_load_that_draws_it(tmp_path: Path) -> None:
    model = SITE.gpu_models["h100-sxm"]
    full_w, idle_w = model.classes["decode"]["full_power_w"], model.device["device_idle_power_w"]
    half = model.classes["decode"]["half_load"]
    power_w = idle_w + 0.3 * (1 + half) / (0.3 + half) * (full_w - idle_w)
    rows = [
        f"0,{NAMES[0]},decode,{power_w},", f"30,{NAMES[0]},decode,{full_w},",
        f"60,{NAMES[0]},decode,{idle_w - 5},",
    ]  # fmt: skip

    trace = read(write(tmp_path, table(rows, "gpu_power_w")))

    assert trace.demand[:, 0].tolist() == pytest.approx([0.3, 1.0, 0.0])


def test_all_problems_of_a_table_come_in_one_message(tmp_path: Path) -> None:
    good = [f"{30 * k},{NAMES[0]},training,500," for k in range(10)]
    del good[4]
    rows = [
        *good,
        f"0,{NAMES[1]},training,-20,",
        f"30,{NAMES[1]},training,500,",
        f"30,{NAMES[1]},training,500,",
        "60,node-99/0,sleeping,5000,",
        "sixty,node-01/0,training,1,",
    ]

    message = said(read, write(tmp_path, table(rows, "gpu_power_w")))

    assert message.startswith(str(tmp_path / "trace.csv"))
    assert "gpu_power_w is negative in row 11" in message
    assert "time and group stand twice in row 13" in message
    assert "group is none of lab-16 in row 14" in message
    assert "work_class is none of training, prefill, decode, memory_bound in row 14" in message
    assert "gpu_power_w is above 1050 in row 14" in message
    assert "a number is missing in row 15" in message
    assert f"{NAMES[0]} has a gap of 60 s before row 6, where steps are 30 s" in message
    assert message.count("has a gap") == 1
    assert f"{NAMES[1]} ends at 30 s, others at 270 s" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("time_s,group,load_ratio\n", "no column 'work_class'"),
        ("time_s,group,work_class\n", "needs one of the columns 'load_ratio' and 'gpu_power_w'"),
        (table([f"0,{NAMES[0]},training,1,"]), "has fewer than two steps"),
        (
            table([f"{k},{NAMES[0]},training,1," for k in (0, 10, 20)]),
            "has steps of 10 s; a multiple of 30 s is needed",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in said(read, write(tmp_path, text))


@pytest.mark.parametrize("text", ["trace.csv", "splunk:trace.csv", ""])
def test_an_unknown_kind_of_recording_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="one of azure-llm:FILE, alibaba-gpu:FILE, csv:FILE"):
        split_source(text)


def test_a_recording_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/none/x\.csv: cannot be read"):
        open_trace("azure-llm:/none/x.csv", SITE)
