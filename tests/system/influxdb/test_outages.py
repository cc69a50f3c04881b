"""The outage campaign in short; ``make outages`` runs it at full length."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.influx_server import LocalInfluxServer
from support.outages import Campaign, run

pytestmark = [pytest.mark.slow, pytest.mark.influxdb]


def test_every_row_is_stored_once_whatever_fails(
    mortal_influx: LocalInfluxServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    campaign = Campaign(points=500, phase_s=10, down_s=60, rate=12, kills=4)

    counts = run(campaign, mortal_influx, tmp_path, say=lambda text: None)

    record_property("counts", counts.lines())
    assert counts.rows_stored == counts.rows_sent
    assert counts.values_wrong == 0
    assert counts.refused == counts.bad_sent > 0
    assert counts.kills >= 2
    assert {"502", "429", "slow", "500", "401", "lost answer"} <= set(counts.answers)
    told = " ".join(counts.problems)
    for words in ("correct `token_file`", "make room on the server's disk", "measurement gpu"):
        assert words in told
