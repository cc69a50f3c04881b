"""The log's schema: derived from the signal table, fit for every version of InfluxDB."""

from dataclasses import fields

import pytest

from coolcap_agent.telemetry_log.measurement import Kind, Measurement
from coolcap_agent.telemetry_log.schema import (
    FACILITY,
    GROUP,
    MEASUREMENTS,
    PLANT,
    TOTALS_FIELDS,
    with_aggregate,
)
from coolcap_envs.contract.meters import Totals
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS


@pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=lambda m: m.name)
def test_no_name_stands_for_two_things(measurement: Measurement) -> None:
    """InfluxDB 3 refuses a tag and a field of one name; ``time`` is taken everywhere."""
    names = [*measurement.tags, *measurement.field_names, "time"]

    assert len(set(names)) == len(names)
    assert measurement.tags[0] == "site"


@pytest.mark.parametrize("measurement", MEASUREMENTS.values(), ids=lambda m: m.name)
def test_everything_is_explained(measurement: Measurement) -> None:
    assert measurement.meaning
    assert all(field.meaning for field in measurement.fields)
    assert all(field.unit for field in measurement.fields if field.kind is not Kind.TEXT)


def test_plant_and_group_carry_every_signal_with_its_unit() -> None:
    assert [(s.name, s.unit) for s in PLANT_SIGNALS] == [(f.name, f.unit) for f in PLANT.fields]
    expected = [(s.name, s.unit) for s in GROUP_SIGNALS]
    assert expected == [(f.name, f.unit) for f in GROUP.fields[: len(GROUP_SIGNALS)]]


def test_meters_of_the_log_are_those_of_the_contract() -> None:
    assert [field.name for field in fields(Totals)] == [field.name for field in TOTALS_FIELDS]


def test_energy_and_work_are_counters_and_powers_are_not() -> None:
    assert PLANT.field("it_energy_kwh").kind is Kind.COUNTER
    assert PLANT.field("makeup_water_l").kind is Kind.COUNTER
    assert GROUP.field("work_gpu_h").kind is Kind.COUNTER
    assert PLANT.field("it_power_w").kind is Kind.GAUGE
    assert PLANT.field("price_usd_per_kwh").kind is Kind.GAUGE


def test_aggregate_stands_before_the_unit() -> None:
    assert with_aggregate("gpu_temp_c", "max") == "gpu_temp_max_c"


def test_unknown_field_is_refused_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"facility has no field 'pue', only elapsed_s, covered_s"):
        FACILITY.field("pue")
