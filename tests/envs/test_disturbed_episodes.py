"""Episodes with faults, recorded work, other work, and demand response."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coolcap_envs.contract.action import Action
from coolcap_envs.contract.config import site_path
from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.observation import PLANT_FEATURES
from coolcap_envs.contract.setpoints import Setpoints
from coolcap_envs.contract.telemetry import FloatArray, Telemetry
from coolcap_envs.episode import Episodes, EpisodeSettings
from coolcap_envs.faults.kinds import MEANINGS, FaultKind
from coolcap_envs.faults.plan import FaultEvent, FaultPlan, FaultRate, load_plan
from coolcap_envs.safety.budget import other_power_w, worst_case_power_w
from coolcap_envs.simulated_plant import SimulatedPlant
from coolcap_envs.site import load_site
from coolcap_envs.workload.profile import load_profile
from support.reference_data import reference_file

SITE = load_site("lab-16")
NAMES, NODES = SITE.layout.group_names, SITE.layout.nodes
N = SITE.layout.group_count
OF_FIRST = np.array([name == NODES[0] for name in SITE.layout.node_names])
EVERY_FAULT = FaultPlan(
    name="every kind, often",
    rates=tuple(
        FaultRate(
            kind=kind,
            per_day=100.0,
            mean_s=600.0,
            low=max(MEANINGS[kind].low, -5.0),
            high=min(MEANINGS[kind].high, 600.0),
        )
        for kind in FaultKind
    ),
)


def plan(kind: FaultKind, *, target: str = "", value: float = 0.0) -> FaultPlan:
    """Return a plan with one fault from 60 s to 660 s."""
    event = FaultEvent(kind=kind, start_s=60.0, duration_s=600.0, target=target, value=value)
    return FaultPlan(events=(event,))


def table(folder: Path, *rows: str) -> str:
    path = folder / "work.csv"
    text = "\n".join(["time_s,group,work_class,load_ratio,job", *rows])
    path.write_text(text + "\n", encoding="utf-8")
    return f"csv:{path}"


def run(episodes: Episodes, steps: int) -> list[Telemetry]:
    neutral = Action.neutral(episodes.batch_size, N)
    seen = []
    for _ in range(steps):
        episodes.step(neutral)
        seen.append(episodes.moment.telemetry)
    return seen


def test_a_chiller_trip_warms_the_water_and_ends() -> None:
    plants = [SimulatedPlant(SITE, seed=1) for _ in range(2)]
    plants[0].reset(1, faults=plan(FaultKind.CHILLER_TRIP), weather="miami")
    plants[1].reset(1, weather="miami")
    for plant in plants:
        plant.advance(600.0)
    tripped, whole = (plant.read_truth() for plant in plants)

    assert tripped.of_plant("chiller_available_ratio") == 0.0
    assert whole.of_plant("chiller_available_ratio") == 1.0
    assert tripped.of_plant("chw_supply_temp_c") > whole.of_plant("chw_supply_temp_c") + 3.0
    plants[0].advance(90.0)
    assert plants[0].read_truth().of_plant("chiller_available_ratio") == 1.0


def test_work_of_a_lost_node_is_lost_and_nothing_else() -> None:
    """Offered = done + lost + waiting holds with faults, and a lost GPU draws idle power."""
    plant = SimulatedPlant(SITE)
    plant.reset(3, faults=plan(FaultKind.NODE_LOSS, target=NODES[0]))
    plant.advance(60.0)
    before = plant.read_truth()
    plant.advance(600.0)
    after, totals = plant.read_truth(), plant.totals()

    done = after.group("work_gpu_h") - before.group("work_gpu_h")
    assert np.all(done[OF_FIRST] == 0.0)
    assert np.all(done[~OF_FIRST] > 0.0)
    assert np.all(after.group("gpu_power_w")[OF_FIRST] < 120.0)
    assert np.isnan(plant.read().groups[OF_FIRST]).all()
    assert totals.offered_gpu_h == pytest.approx(
        totals.work_gpu_h + totals.lost_gpu_h + totals.waiting_gpu_h, rel=1e-9
    )
    assert abs(totals.energy_residual_ratio) < 1e-6


def test_commands_do_not_reach_a_silent_agent_and_its_caps_return_after_the_lease() -> None:
    plant = SimulatedPlant(SITE)
    plant.reset(0, faults=plan(FaultKind.AGENT_SILENCE, target=NODES[0]))
    asked = Setpoints.none(N)
    asked.power_cap_w[:] = 400.0
    plant.apply(asked)
    plant.advance(90.0)
    asked.power_cap_w[:] = 300.0

    answer = plant.apply(asked).setpoints.power_cap_w

    assert np.isnan(answer[OF_FIRST]).all()
    assert np.all(answer[~OF_FIRST] == 300.0)
    plant.advance(30.0)
    assert np.all(plant.read_truth().group("power_limit_w")[OF_FIRST] == 400.0)
    assert np.all(plant.read().groups_age_s[OF_FIRST] == 60.0)
    plant.advance(60.0)
    assert np.all(plant.read_truth().group("power_limit_w")[OF_FIRST] == 700.0)
    plant.advance(540.0)
    assert np.all(plant.apply(asked).setpoints.power_cap_w == 300.0)
    assert not plant.read().groups_age_s.any()


def test_a_silent_plant_agent_returns_its_set_points_after_the_lease() -> None:
    plant = SimulatedPlant(SITE)
    plant.reset(0, faults=plan(FaultKind.AGENT_SILENCE, target="plant"))
    asked = Setpoints.none(N)
    asked.plant[0] = 24.0
    plant.apply(asked)
    plant.advance(120.0)
    assert plant.read_truth().of_plant("supply_air_temp_setpoint_c") == 24.0
    assert np.isnan(plant.apply(asked).setpoints.plant).all()
    plant.advance(60.0)

    assert plant.read_truth().of_plant("supply_air_temp_setpoint_c") == SITE.limits.lever_default[0]


def test_overshoot_draws_more_than_the_cap_that_is_reported(tmp_path: Path) -> None:
    rows = [f"{t},{name},training,1.0," for t in (0, 30) for name in NAMES]
    trace = table(tmp_path, *rows)
    plant = SimulatedPlant(SITE)
    plant.reset(0, trace=trace, faults=plan(FaultKind.CAP_OVERSHOOT, target=NODES[0], value=1.3))
    asked = Setpoints.none(N)
    asked.power_cap_w[:] = 400.0
    plant.apply(asked)
    plant.advance(600.0)
    truth, read = plant.read_truth(), plant.read()

    assert np.all(truth.group("gpu_power_w")[OF_FIRST] > 480.0)
    assert np.all(truth.group("gpu_power_w")[~OF_FIRST] < 401.0)
    assert np.all(read.group("power_limit_w") == 400.0)


def test_faults_spoil_what_is_read_and_not_what_counts() -> None:
    plants = [SimulatedPlant(SITE) for _ in range(2)]
    faults = plan(FaultKind.SENSOR_BIAS, target="supply_air_temp_c", value=2.0)
    plants[0].reset(5, faults=faults)
    plants[1].reset(5)
    for plant in plants:
        plant.advance(120.0)

    biased, right = (plant.read().of_plant("supply_air_temp_c") for plant in plants)
    assert biased - right == pytest.approx(2.0)
    truths = [plant.read_truth().plant for plant in plants]
    np.testing.assert_array_equal(truths[0], truths[1])


@pytest.mark.parametrize("site_name", ["lab-16", "dlc-rack-scale"])
def test_energy_closes_in_every_step_whatever_fails(site_name: str) -> None:
    site = load_site(site_name)
    wanted = EpisodeSettings(faults=EVERY_FAULT, workload="recorded-2023", randomise_ratio=1.0)
    episodes = Episodes(site, batch_size=2, settings=wanted)
    episodes.start([np.random.default_rng(k) for k in range(2)])
    neutral = Action.neutral(2, site.layout.group_count)
    for _ in range(120):
        episodes.step(neutral)
        assert np.abs(episodes.plant.totals().energy_residual_ratio).max() < 1e-6
    totals = episodes.plant.totals()
    np.testing.assert_allclose(
        totals.offered_gpu_h, totals.work_gpu_h + totals.lost_gpu_h + totals.waiting_gpu_h
    )


def test_faults_that_are_switched_off_change_no_bit() -> None:
    quiet = EpisodeSettings(plant_seed=7, weather="miami", duration_s=7200.0)
    episodes = [Episodes(SITE, batch_size=1, settings=quiet) for _ in range(2)]
    for episode in episodes:
        episode.start([np.random.default_rng(0)])
    episodes[1].start([np.random.default_rng(0)], settings=EpisodeSettings(faults="standard"))
    assert not episodes[1].plant.is_undisturbed
    episodes[1].start([np.random.default_rng(0)])
    assert episodes[1].plant.is_undisturbed

    for one, other in zip(*(run(episode, 30) for episode in episodes), strict=True):
        np.testing.assert_array_equal(one.groups, other.groups)
        np.testing.assert_array_equal(one.plant, other.plant)


def test_episodes_with_faults_are_equal_alone_and_in_a_batch() -> None:
    wanted = EpisodeSettings(faults="standard", randomise_ratio=1.0, any_hour=True)
    alone = Episodes(SITE, batch_size=1, settings=wanted)
    crowd = Episodes(SITE, batch_size=3, settings=wanted)
    alone.start([np.random.default_rng(21)])
    crowd.start([np.random.default_rng(seed) for seed in (20, 21, 22)])

    seen = zip(run(alone, 300), run(crowd, 300), strict=True)

    for one, many in seen:
        np.testing.assert_array_equal(one.groups[0], many.groups[1])
        np.testing.assert_array_equal(one.plant[0], many.plant[1])
        np.testing.assert_array_equal(one.groups_age_s[0], many.groups_age_s[1])


def test_a_copy_of_a_plant_with_faults_has_the_same_future() -> None:
    first, second = SimulatedPlant(SITE, batch_size=2), SimulatedPlant(SITE, batch_size=2)
    first.reset([1, 2], faults=plan(FaultKind.NODE_LOSS, target=NODES[1]))
    first.advance(120.0)
    second.copy_from(first, source=0, target=1)
    for plant in (first, second):
        plant.advance(900.0)

    np.testing.assert_array_equal(first.read().groups[0], second.read().groups[1])


def test_recorded_work_drives_the_groups_it_names(tmp_path: Path) -> None:
    rows = [f"{30 * k},{NAMES[2]},decode,{0.1 * (k + 1)}," for k in range(4)]
    plant = SimulatedPlant(SITE)
    plant.reset(0, trace=table(tmp_path, *rows))
    rates = []
    for _ in range(6):
        plant.advance(30.0)
        rates.append(float(plant.read_truth().group("work_rate_ratio")[2]))

    assert plant.read_truth().group("decode_ratio")[2] == 1.0
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.1, 0.2], abs=0.01)


def test_the_slowest_group_of_a_job_sets_the_pace_of_all(tmp_path: Path) -> None:
    """Two of four GPUs of one training job are capped: all four do what these can."""
    rows = [
        f"{t},{name},training,1.0,{'big' if k < 4 else ''}"
        for t in (0, 30)
        for k, name in enumerate(NAMES)
    ]
    plant = SimulatedPlant(SITE)
    plant.reset(0, trace=table(tmp_path, *rows))
    asked = Setpoints.none(N)
    asked.power_cap_w[:2] = 350.0
    plant.apply(asked)
    plant.advance(300.0)
    truth, totals = plant.read_truth(), plant.totals()
    rates, power_w = truth.group("work_rate_ratio"), truth.group("gpu_power_w")

    assert not plant.is_undisturbed
    assert rates[:4].max() - rates[:4].min() < 0.03
    assert rates[:4].max() < 0.9
    assert np.all(rates[4:] > 0.95)
    assert np.all(power_w[2:4] < power_w[4:].min() - 20.0)
    assert totals.offered_gpu_h == pytest.approx(
        totals.work_gpu_h + totals.lost_gpu_h + totals.waiting_gpu_h, rel=1e-9
    )
    assert totals.lost_gpu_h > 0.0


def test_a_site_can_let_generated_jobs_run_on_several_groups_in_step(tmp_path: Path) -> None:
    text = site_path("lab-16").read_text(encoding="utf-8")
    text = text.replace(
        "[simulation.workload.training]",
        "[simulation.workload]\ngroups_per_job = 4\n[simulation.workload.training]",
    )
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    plant = SimulatedPlant(load_site(path), seed=3)
    asked = Setpoints.none(N)
    asked.power_cap_w[::4] = 300.0
    plant.apply(asked)
    plant.advance(600.0)
    rates = plant.read_truth().group("work_rate_ratio").reshape(4, 4)

    np.testing.assert_allclose(rates, np.broadcast_to(rates[:, :1], (4, 4)), atol=0.03)


@given(
    seed=st.integers(0, 2**32),
    caps=st.lists(st.floats(250.0, 700.0), min_size=3, max_size=3),
    faults=st.sampled_from([None, "standard"]),
    workload=st.sampled_from([None, "recorded-2023"]),
)
@settings(max_examples=12, deadline=None)
def test_offered_work_is_done_waits_or_is_lost_in_every_class(
    seed: int, caps: list[float], faults: str | None, workload: str | None
) -> None:
    """Class by class: what is offered while a group runs it, and what becomes of it."""
    plant = SimulatedPlant(SITE)
    plant.reset(
        seed,
        workload=None if workload is None else load_profile(workload),
        faults=None if faults is None else load_plan(faults),
    )
    batch = plant._batch
    gpus = SITE.layout.gpu_count

    def accounts() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        offered_s, done_s, lost_s = (
            batch.get("groups", f"{name}_gpu_s")[0] for name in ("offered", "work", "lost")
        )
        return offered_s, done_s, lost_s, gpus * batch.get("groups", "backlog_s")[0]

    balance = np.zeros((4, 4))
    before, kinds = accounts(), batch.get("groups", "work_class")[0]
    for cap_w in caps:
        asked = Setpoints.none(N)
        asked.power_cap_w[:] = cap_w
        plant.apply(asked)
        for _ in range(20):
            plant.advance(30.0)
            after, now = accounts(), batch.get("groups", "work_class")[0]
            change = np.array(after) - np.array(before)
            # A new job gives up the queue of the last: lost by the class that had it.
            given_up = np.where(now != kinds, np.array(before)[3], 0.0)
            change[2] -= given_up
            change[3] += given_up
            for k in range(4):
                balance[k] += change[:, now == k].sum(axis=-1)
                balance[k, 2] += given_up[kinds == k].sum()
                balance[k, 3] -= given_up[kinds == k].sum()
            before, kinds = after, now
    offered_s, done_s, lost_s, waiting_s = balance.T

    assert np.all(done_s >= 0.0)
    assert np.all(lost_s >= -1e-9)
    assert np.all(waiting_s >= -1e-9)
    np.testing.assert_allclose(offered_s, done_s + lost_s + waiting_s, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(
    "trace",
    ["azure-llm:AzureLLMInferenceTrace_code.csv", "alibaba-gpu:v2023_openb_pod_list_default.csv"],
)
def test_published_recordings_drive_whole_episodes(trace: str) -> None:
    kind, _, name = trace.partition(":")
    path = reference_file(f"workload/{name}")
    wanted = EpisodeSettings(trace=f"{kind}:{path}", duration_s=7200.0)
    episodes = Episodes(SITE, batch_size=2, settings=wanted)
    episodes.start([np.random.default_rng(k) for k in range(2)])
    run(episodes, 60)
    totals = episodes.plant.totals()

    assert np.all(totals.work_gpu_h > 0.0)
    np.testing.assert_allclose(
        totals.offered_gpu_h, totals.work_gpu_h + totals.lost_gpu_h + totals.waiting_gpu_h
    )


def test_a_profile_makes_inference_bursty() -> None:
    def spread(workload: str | None) -> float:
        episodes = Episodes(
            SITE, batch_size=4, settings=EpisodeSettings(workload=workload, plant_seed=4)
        )
        episodes.start([np.random.default_rng(k) for k in range(4)])
        powers = [seen.of_plant("it_power_w") for seen in run(episodes, 60)]
        return float((np.diff(powers, axis=0)).std() / np.mean(powers))

    assert spread("recorded-2023") > 2.0 * spread(None)


def test_a_demand_response_event_binds_the_shield_and_shows_in_the_observation(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.toml"
    path.write_text(
        '[[events]]\nfrom_hour = 0.25\nto_hour = 0.5\nbudget = "site"\nreduction_ratio = 0.3\n'
        'source = "made up"\n',
        encoding="utf-8",
    )
    wanted = EpisodeSettings(demand_response=str(path), plant_seed=1)
    episodes = Episodes(SITE, batch_size=2, settings=wanted)
    episodes.start([np.random.default_rng(0)] * 2)
    site = SITE.limits.budget_names.index("site")
    own_w = SITE.limits.budget_w[site]
    allowed, worst, use = [], [], []
    column = [f.name for f in PLANT_FEATURES].index("budget_use_ratio")
    for _ in range(80):
        limits, telemetry = episodes.limits_now, episodes.moment.telemetry
        step = episodes.step(Action.neutral(2, N))
        other_w = other_power_w(telemetry, SITE.layout)
        caps_w = step.shielded.setpoints.power_cap_w
        loads_w = worst_case_power_w(caps_w, other_w, SITE.layout, limits)
        allowed.append(np.broadcast_to(limits.budget_w, loads_w.shape)[:, site])
        worst.append(loads_w[:, site])
        it_w = episodes.moment.telemetry.of_plant("it_power_w")
        use.append(episodes.moment.observation.plant[:, column] * own_w / it_w)

    called = np.array(allowed)[:, 0] < own_w
    assert called.sum() == 30
    assert np.array(allowed)[called].max() == pytest.approx(0.7 * own_w)
    assert np.all(np.array(worst) <= np.array(allowed) * (1.0 + 1e-9))
    assert np.array(use)[10] == pytest.approx([1.0, 1.0])
    assert np.array(use)[40] == pytest.approx([1.0 / 0.7, 1.0 / 0.7])


def test_everything_wrong_with_the_settings_is_said_before_anything_runs(tmp_path: Path) -> None:
    wanted = EpisodeSettings(
        weather="atlantis",
        workload="friday",
        trace="csv:/none.csv",
        faults="monday",
        demand_response=str(tmp_path / "none.toml"),
    )

    with pytest.raises(ConfigError) as caught:
        Episodes(SITE, batch_size=1, settings=wanted)

    said = str(caught.value)
    assert said.startswith("episode settings: weather: ")
    assert "allowed are greensboro, miami, sand-point" in said
    assert "workload: friday: is no shipped profile of work (recorded-2023)" in said
    assert "trace: /none.csv: cannot be read" in said
    assert "faults: monday: is no shipped plan of faults (standard)" in said
    assert f"demand_response: {tmp_path / 'none.toml'}: cannot be read" in said
