"""The recorder: an hour of a site, and single lines calculated by hand."""

from collections import defaultdict

import numpy as np
import pytest

from agent.controller.fake_plant import LoopBench
from coolcap_agent.controller.modes import Mode
from coolcap_agent.demo.series import Series, read_series
from coolcap_agent.sink.memory import MemorySink
from coolcap_agent.telemetry_log.fleet_sums import racks, spread_over_groups
from coolcap_agent.telemetry_log.measurement import Field, Kind
from coolcap_agent.telemetry_log.meters import ModeMeters
from coolcap_agent.telemetry_log.minute import Minute
from coolcap_agent.telemetry_log.recorder import EVENT_SERIES_MAX, Recorder
from coolcap_agent.telemetry_log.schema import FACILITY, MEASUREMENTS
from coolcap_envs.contract.meters import Totals, WindowMeter
from coolcap_envs.contract.signals import GROUP_COLUMN
from support.logged_site import (
    AUTO_FROM_S,
    HOUR_S,
    OLD_FROM_S,
    OLD_TO_S,
    START_S,
    STEP_S,
    log_hour,
)
from support.small_site import small_site, telemetry

ROW_COUNT = int(HOUR_S / STEP_S) + 1


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return log_hour(MemorySink()).lines


@pytest.fixture(scope="module")
def logged(lines: list[bytes]) -> dict[str, list[Series]]:
    return read_series(line.decode() for line in lines)


def test_every_line_is_in_the_schema(logged: dict[str, list[Series]]) -> None:
    assert set(logged) == set(MEASUREMENTS)
    for name, of_measurement in logged.items():
        for series in of_measurement:
            assert set(series.tags) == set(MEASUREMENTS[name].tags)
            assert set(series.fields) <= set(MEASUREMENTS[name].field_names)


def test_every_field_of_the_schema_is_written(logged: dict[str, list[Series]]) -> None:
    written = {
        name: {field for series in of_measurement for field in series.fields}
        for name, of_measurement in logged.items()
    }
    absent = {
        f"{m}.{f}" for m in MEASUREMENTS for f in set(MEASUREMENTS[m].field_names) - written[m]
    }

    # A text is no number, and only numbers are read here.
    assert absent == {"event.message"}


def test_no_line_is_written_twice(lines: list[bytes]) -> None:
    """Series and time are the identity of a point: two lines of one would hide each other."""
    identities = [(line.split(b" ")[0], line.rsplit(b" ", 1)[1]) for line in lines]

    assert len(set(identities)) == len(identities)


def test_counters_never_fall(logged: dict[str, list[Series]]) -> None:
    for name, of_measurement in logged.items():
        for series in of_measurement:
            for field in MEASUREMENTS[name].fields:
                if field.kind is Kind.COUNTER and field.name in series.fields:
                    values = series.array(field.name)
                    assert np.all(np.diff(values[np.isfinite(values)]) >= 0.0), (name, field.name)


def test_meters_count_what_the_plants_meters_count(logged: dict[str, list[Series]]) -> None:
    (plant,), (facility,) = logged["plant"], logged["facility"]
    for name in ("it_energy_kwh", "cooling_energy_kwh", "facility_energy_kwh", "makeup_water_l"):
        used = plant.array(name)[-1] - plant.array(name)[0]
        assert facility.array(name)[-1] == pytest.approx(used, abs=1e-6)
    work = sum(s.array("work_gpu_h")[-1] - s.array("work_gpu_h")[0] for s in logged["group"])
    assert facility.array("work_gpu_h")[-1] == pytest.approx(work, abs=1e-6)
    assert facility.array("covered_s")[-1] == HOUR_S


def test_meters_per_mode_add_up_to_the_whole(logged: dict[str, list[Series]]) -> None:
    (facility,) = logged["facility"]
    by_mode = {series.tags["mode"]: series for series in logged["meter"]}

    assert set(by_mode) == {"shadow", "auto", "fallback"}
    assert by_mode["shadow"].array("elapsed_s")[-1] == AUTO_FROM_S
    whole = sum(series.array("facility_energy_kwh")[-1] for series in by_mode.values())
    assert whole == pytest.approx(facility.array("facility_energy_kwh")[-1])


def test_minute_rows_are_means_of_powers_and_last_values_of_counters(
    logged: dict[str, list[Series]],
) -> None:
    (facility,), (by_minute,) = logged["facility"], logged["facility_1m"]
    of_first = [t < START_S + 60.0 for t in facility.time_s]

    assert len(by_minute.time_s) == HOUR_S / 60.0
    assert by_minute.time_s[0] == START_S + 50.0
    power_w = facility.array("it_power_w")[of_first]
    assert by_minute.array("it_power_w")[0] == pytest.approx(power_w.mean())
    assert by_minute.array("it_energy_kwh")[0] == facility.array("it_energy_kwh")[of_first][-1]


def test_site_is_logged_each_second_and_groups_each_ten_seconds() -> None:
    sink = MemorySink()
    recorder = Recorder(small_site()[0], [sink])
    bench = LoopBench(mode=Mode.SHADOW)
    for _ in range(40):
        bench.plant.time_s += 0.5
        bench.loop.fast_tick()
        recorder.record(bench.loop.state)

    count: dict[str, int] = defaultdict(int)
    for line in sink.lines:
        count[line.split(",")[0]] += 1
    assert count["facility"] == 20
    assert count["group"] == 2 * 4


def test_event_survives_quotes_and_line_breaks() -> None:
    sink = MemorySink()
    recorder = Recorder(small_site()[0], [sink])

    recorder.event(
        time_s=1.0, code="mode", subject="a b", active=True, message='is "auto",\nsince\\now'
    )

    assert sink.lines == [
        r"event,code=mode,site=small,subject=a\ b "
        "active=1,severity=1,message=\"is 'auto', since/now\" 1000000000"
    ]


def test_rack_sums_powers_takes_the_hottest_and_weighs_means() -> None:
    layout, _ = small_site()
    groups = telemetry(
        group={
            "it_power_w": np.array([480.0, 500.0, 300.0, 310.0]),
            "gpu_power_w": np.array([400.0, np.nan, 200.0, 300.0]),
            "gpu_temp_c": np.array([60.0, 65.0, np.nan, np.nan]),
        }
    ).groups

    rows = racks(layout).rows(groups)

    assert rows[:, GROUP_COLUMN["it_power_w"]].tolist() == [980.0, 610.0]
    assert rows[:, GROUP_COLUMN["gpu_power_w"]].tolist() == [400.0, 250.0]
    hottest = rows[:, GROUP_COLUMN["gpu_temp_c"]]
    assert hottest[0] == 65.0
    assert np.isnan(hottest[1])


def test_rack_with_an_unknown_group_has_no_sum() -> None:
    """A counter that leaves a group out for a moment would seem to run backwards."""
    layout, _ = small_site()
    groups = telemetry(group={"it_energy_kwh": np.array([1.0, np.nan, 1.0, 2.0])}).groups

    energy_kwh = racks(layout).rows(groups)[:, GROUP_COLUMN["it_energy_kwh"]]

    assert np.isnan(energy_kwh[0])
    assert energy_kwh[1] == 3.0


def test_spread_over_groups_knows_what_can_be_known() -> None:
    layout, _ = small_site()
    seen = telemetry(
        group={
            "gpu_power_w": np.array([100.0, 200.0, 300.0, np.nan]),
            "hbm_temp_c": np.full(4, np.nan),
        }
    )

    spread = spread_over_groups(seen.groups, layout)

    assert spread["gpu_power_p50_w"] == 200.0
    assert spread["gpu_power_max_w"] == 300.0
    assert spread["gpu_util_mean_ratio"] == pytest.approx(0.9)
    assert np.isnan(spread["hbm_temp_max_c"])
    assert set(spread) <= set(FACILITY.field_names)


def test_interval_counts_for_the_mode_it_began_in() -> None:
    meters = ModeMeters()
    plain = WindowMeter()
    kwh = 0.0
    for time_s, mode in ((0.0, Mode.SHADOW), (30.0, Mode.AUTO), (60.0, Mode.AUTO)):
        seen = telemetry(plant={"it_energy_kwh": kwh}, time_s=time_s)
        kwh += 1.0
        meters.add(seen, mode)
        plain.add(seen)

    assert meters.by_mode[Mode.SHADOW].it_energy_kwh == 1.0
    assert meters.by_mode[Mode.AUTO].it_energy_kwh == 1.0
    assert meters.totals == plain.totals == sum(meters.by_mode.values(), Totals())


def test_minute_without_a_reading_gives_none() -> None:
    fields = [
        Field(name="a_w", unit="W", kind=Kind.GAUGE, meaning="power"),
        Field(name="b_kwh", unit="kWh", kind=Kind.COUNTER, meaning="energy"),
    ]
    minute = Minute(fields)

    assert minute.add(np.array([[np.nan, 5.0]]), time_s=0.0) is None
    assert minute.add(np.array([[np.nan, np.nan]]), time_s=30.0) is None
    done = minute.add(np.array([[1.0, 6.0]]), time_s=60.0)

    assert done is not None
    time_s, (row,) = done
    assert time_s == 30.0
    assert np.isnan(row[0])
    assert row[1] == 5.0


def test_gpus_of_a_group_add_up_to_it(logged: dict[str, list[Series]]) -> None:
    of_gpus = [s for s in logged["gpu"] if s.tags["group"] == "node-1/0"]
    (of_group,) = (s for s in logged["group"] if s.tags["group"] == "node-1/0")

    assert of_gpus
    for name in ("it_power_w", "it_energy_kwh", "work_gpu_h"):
        total = np.sum([gpu.array(name) for gpu in of_gpus], axis=0)
        group = of_group.array(name)
        assert total == pytest.approx(group[np.isfinite(group)])


def test_gpus_of_a_group_too_old_are_left_out(logged: dict[str, list[Series]]) -> None:
    for gpu in logged["gpu"]:
        old = (np.array(gpu.time_s) >= START_S + OLD_FROM_S) & (
            np.array(gpu.time_s) < START_S + OLD_TO_S
        )
        assert not old.any()


def test_counters_beside_powers_only_rise(logged: dict[str, list[Series]]) -> None:
    for name in ("gpu", "node", "group", "rack", "plant", "facility"):
        counters = [f.name for f in MEASUREMENTS[name].fields if f.kind is Kind.COUNTER]
        assert counters
        for series in logged[name]:
            for counter in counters:
                if counter in series.fields:
                    values = series.array(counter)
                    assert (np.diff(values[np.isfinite(values)]) >= 0.0).all()


def test_number_of_series_does_not_grow_with_time() -> None:
    """Subjects that nobody foresaw share one series beyond a bound."""
    layout, _ = small_site()
    sink = MemorySink()
    recorder = Recorder(layout, [sink])
    for number in range(EVENT_SERIES_MAX + 50):
        recorder.event(
            time_s=START_S, code="odd", subject=f"thing-{number}", active=True, message="odd"
        )

    subjects = {line.split(" ")[0] for line in sink.lines}
    assert len(subjects) == EVENT_SERIES_MAX + 1
    assert "event,code=odd,site=small,subject=other" in subjects
