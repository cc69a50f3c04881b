"""Tests of recorded work as episodes see it, and of jobs placed on a site."""

import numpy as np
import pytest

from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.site import load_site
from coolcap_envs.workload.alibaba import Jobs
from coolcap_envs.workload.placement import first_come, place
from coolcap_envs.workload.source import open_trace
from coolcap_envs.workload.trace import Classes, CourseTrace, TableTrace, WideJobs, slowest_pace
from support.reference_data import reference_file

TRAINING, PREFILL, DECODE = 0, 1, 2
LOADS = np.array([1.0, 0.5, 0.4, 0.8])


def block(steps: int, groups: int, *, work_class: int = TRAINING) -> tuple[FloatArray, Classes]:
    return np.full((steps, groups), 0.7), np.full((steps, groups), work_class, dtype=np.int8)


def jobs(*rows: tuple[float, float, int, int]) -> Jobs:
    arrival_s, run_s, gpus, work_class = (np.array(column) for column in zip(*rows, strict=True))
    return Jobs(
        name="made up",
        arrival_s=arrival_s.astype(np.float64),
        run_s=run_s.astype(np.float64),
        gpu_count=gpus.astype(np.int64),
        share_ratio=np.ones(len(rows)),
        work_class=work_class.astype(np.int8),
        notes=(),
    )


def test_a_table_lies_over_what_was_generated_and_begins_again() -> None:
    demand = np.array([[0.1, np.nan], [0.2, np.nan], [0.3, 0.9]], dtype=np.float32)
    classes = np.array([[DECODE, -1], [DECODE, -1], [DECODE, PREFILL]], dtype=np.int8)
    trace = TableTrace(demand=demand, classes=classes, is_from_start=True)
    replay = trace.start(np.random.default_rng(0))
    got, kinds = block(4, 2)

    replay.lay(got, kinds, first_step=1)

    assert got[:, 0] == pytest.approx([0.2, 0.3, 0.1, 0.2])
    assert got[:, 1] == pytest.approx([0.7, 0.9, 0.7, 0.7])
    assert kinds[:, 1].tolist() == [TRAINING, PREFILL, TRAINING, TRAINING]
    assert replay.jobs(0) is None


def test_a_course_lies_over_its_class_only_and_groups_stand_at_their_own_places() -> None:
    trace = CourseTrace(courses={DECODE: np.arange(100.0)}, groups=8)
    replay = trace.start(np.random.default_rng(3))
    got, kinds = block(10, 8, work_class=DECODE)
    kinds[5:, 0] = TRAINING

    replay.lay(got, kinds, first_step=20)
    again, same = block(10, 8, work_class=DECODE)
    replay.lay(again, same, first_step=25)

    assert np.all(got[5:, 0] == 0.7)
    assert np.all(np.diff(got[:, 1:], axis=0) % 100.0 == 1.0)
    assert np.unique(got[0]).size > 4
    np.testing.assert_array_equal(again[:5, 1:], got[5:, 1:])


def test_a_synchronous_job_goes_at_the_pace_of_its_slowest_group() -> None:
    time_ratio = np.array([1.0, 1.25, 2.0, 1.6, 1.0])
    job = np.array([0, 0, 3, -1, 3], dtype=np.int16)

    pace = slowest_pace(time_ratio, job)

    assert pace.tolist() == [0.8, 0.8, 0.5, np.inf, 0.5]


def test_wide_jobs_have_one_load_and_one_class() -> None:
    replay = WideJobs(5, groups_per_job=2)
    rng = np.random.default_rng(0)
    drawn, kinds = rng.random((3, 5)), rng.integers(0, 4, (3, 5)).astype(np.int8)
    demand, classes = drawn.copy(), kinds.copy()

    replay.lay(demand, classes, first_step=0)

    np.testing.assert_array_equal(demand, drawn[:, [0, 0, 2, 2, 4]])
    np.testing.assert_array_equal(classes, kinds[:, [0, 0, 2, 2, 4]])
    assert replay.jobs(7).tolist() == [0, 0, 1, 1, 2]


def test_jobs_wait_in_line_until_enough_groups_are_free() -> None:
    """Of three groups the second job needs all; the third job waits behind it."""
    arrivals = [(0.0, 0, 300.0), (30.0, 1, 600.0), (60.0, 2, 90.0), (2000.0, 3, 60.0)]

    placed = list(first_come(arrivals, [1, 3, 1, 2], group_count=3))

    assert [(p.begin_s, p.finish_s) for p in placed] == [
        (0.0, 300.0),
        (300.0, 900.0),
        (900.0, 990.0),
        (2000.0, 2060.0),
    ]
    assert [len(p.groups) for p in placed] == [1, 3, 1, 2]
    assert set(placed[1].groups) == {0, 1, 2}


def test_a_job_over_several_groups_is_marked_as_one() -> None:
    many = jobs(*((60.0 * k, 600.0, 4, TRAINING) for k in range(50)))

    trace = place(many, group_count=8, load_of_class=LOADS)

    assert trace.job is not None
    running = trace.job >= 0
    np.testing.assert_array_equal(running, trace.classes == TRAINING)
    for row in trace.job[running.any(axis=1)]:
        _, sizes = np.unique(row[row >= 0], return_counts=True)
        assert set(sizes) == {4}


def test_jobs_ask_for_the_wanted_share_whatever_the_size_of_the_site() -> None:
    rng = np.random.default_rng(0)
    arrivals = np.sort(rng.uniform(0.0, 30 * 86_400.0, 3000))
    many = jobs(*((t, float(rng.exponential(7200.0)), 1, DECODE) for t in arrivals.tolist()))

    for groups in (4, 16, 128):
        trace = place(many, group_count=groups, load_of_class=LOADS, busy_ratio=0.6)
        assert (trace.classes >= 0).mean() == pytest.approx(0.6, abs=0.08)
        assert np.unique(trace.demand).tolist() == pytest.approx([0.0, 0.4])


def test_the_published_requests_drive_inference_at_the_sites_mean_load() -> None:
    site = load_site("lab-16")
    path = reference_file("workload/AzureLLMInferenceTrace_code.csv")

    trace = open_trace(f"azure-llm:{path}", site)

    assert isinstance(trace, CourseTrace)
    for name in ("prefill", "decode"):
        course = trace.courses[WORKLOAD_CLASSES.index(name)]
        assert course.mean() == pytest.approx(site.workload[name]["load_mean_ratio"])
        assert course.std() / course.mean() == pytest.approx(1.28, abs=0.02)


def test_the_published_jobs_fill_a_site() -> None:
    path = reference_file("workload/v2023_openb_pod_list_default.csv")

    trace = open_trace(f"alibaba-gpu:{path}", load_site("lab-16"))

    assert isinstance(trace, TableTrace)
    assert trace.demand.shape[1] == 16
    assert 0.4 < (trace.classes >= 0).mean() < 0.95
    assert trace.job is not None
    assert set(np.unique(trace.classes)) == {-1, 0, DECODE, 3}
