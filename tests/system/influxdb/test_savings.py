"""The savings report from a real InfluxDB: the same as from the file."""

from pathlib import Path

import httpx
import pytest

from coolcap_agent.savings.influx import read_influx
from coolcap_agent.savings.log import SavingsError, read_files
from coolcap_agent.savings.report import make_report
from coolcap_agent.sink.influx import influx_post
from support.influx_server import InfluxServer
from support.switchback_log import Truth, plan, switchback_log

pytestmark = pytest.mark.influxdb

DATABASE = "coolcap_test_savings"


def test_report_from_the_database_is_the_report_from_the_file(
    influx: InfluxServer, tmp_path: Path
) -> None:
    of = plan(8)
    body = switchback_log(Truth(saving=0.1, noise=0.01), of)
    (tmp_path / "telemetry.lp").write_bytes(body)
    influx.create(DATABASE)
    post = influx_post(influx.target(DATABASE))
    lines = body.splitlines(keepends=True)
    for start in range(0, len(lines), 2000):
        post(b"".join(lines[start : start + 2000]))

    with httpx.Client(base_url=influx.url, headers=influx.headers) as client:
        site, log = read_influx(
            client, bucket=DATABASE, start_s=of.start_time_s, end_s=of.end_time_s
        )
        found = make_report(site, log).as_json()
        with pytest.raises(SavingsError, match="InfluxDB"):
            read_influx(client, bucket="coolcap_test_none", start_s=0.0, end_s=1.0)

    assert found == make_report(*read_files([tmp_path / "telemetry.lp"])).as_json()
