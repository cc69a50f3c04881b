"""Tests of reading a telemetry log back."""

import numpy as np

from coolcap_agent.demo.series import read_series

LOG = """\
plant,site=lab it_power_w=1000,facility_power_w=1300 1000000000
group,site=lab,group=node-1/0 power_limit_w=500 1000000000
group,site=lab,group=node-1/1 power_limit_w=400 1000000000

plant,site=lab it_power_w=1100 31000000000
group,site=lab,group=node-1/0 power_limit_w=450,work_rate_ratio=1 31000000000
"""


def test_a_series_is_kept_per_measurement_and_tags() -> None:
    series = read_series(LOG.splitlines())
    assert [s.tags["group"] for s in series["group"]] == ["node-1/0", "node-1/1"]
    assert series["plant"][0].time_s == [1.0, 31.0]


def test_a_field_missing_from_a_line_is_nan() -> None:
    series = read_series(LOG.splitlines())
    facility = series["plant"][0].array("facility_power_w")
    assert facility[0] == 1300.0
    assert np.isnan(facility[1])
    assert np.isnan(series["group"][0].array("work_rate_ratio")[0])
    assert np.isnan(series["plant"][0].array("no_such_field")).all()


def test_escaped_characters_and_integer_fields_are_read() -> None:
    line = r"event,name=a\ b\,c count=3i,ratio=0.5 2000000000"
    series = read_series([line])["event"][0]
    assert series.tags == {"name": "a b,c"}
    assert series.array("count").tolist() == [3.0]


def test_texts_may_hold_spaces_commas_and_equal_signs() -> None:
    line = 'event,code=mode active=1,message="auto, since x = 3",count=2 2000000000'
    series = read_series([line])["event"][0]
    assert series.array("active").tolist() == [1.0]
    assert series.array("count").tolist() == [2.0]
