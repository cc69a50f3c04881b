"""Wrong usage of the steering commands, and the commands that read files."""

import json
import sys
from pathlib import Path

import pytest

from coolcap_agent import cli
from coolcap_agent.audit import AuditLog
from support.switchback_log import Truth, plan, switchback_log


def coolcap(*arguments: str) -> int:
    """Run the command in this process; return its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["coolcap", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["override", "300", "--reason", "x"], "give either --group or --lever"),
        (["override", "--group", "g", "--reason", "x"], "give either VALUE or --lift"),
        (["override", "3", "-g", "g", "--lift", "--reason", "x"], "give either VALUE or --lift"),
        (["override", "3", "-g", "g", "--for", "2 weeks", "--reason", "x"], "no span such as"),
        (["override", "3", "-g", "g"], "--reason"),
        (["switchback", "--block", "day", "--reason", "x"], "no span such as"),
        (["report"], "give either files or --influxdb"),
        (["report", "--influxdb", "http://127.0.0.1:1"], "needs --from and --until"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert coolcap(*arguments) == 2
    assert text in capsys.readouterr().err


def test_report_prints_its_claim_and_writes_two_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "telemetry.lp"
    log.write_bytes(switchback_log(Truth(saving=0.1, noise=0.01), plan(8)))

    assert coolcap("report", str(log), "--out", str(tmp_path / "out")) == 0

    said = capsys.readouterr().out
    assert "less facility energy per unit of work" in said
    data = json.loads((tmp_path / "out" / "savings.json").read_text())
    assert data["supported"] is True
    assert data["claim"] in (tmp_path / "out" / "savings.html").read_text()


def test_report_that_supports_no_claim_is_a_report_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "telemetry.lp"
    log.write_bytes(switchback_log(Truth(saving=0.0), plan(4)))

    assert coolcap("report", str(log), "--out", str(tmp_path), "--json") == 0

    data = json.loads(capsys.readouterr().out)
    assert data["supported"] is False
    assert "4 pairs of blocks count, at least 6 are needed" in data["refusals"][0]


def test_report_of_a_log_that_is_not_there_is_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert coolcap("report", str(tmp_path / "none.lp")) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_audit_verify_tells_whole_and_broken_logs_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for who in ("a", "b"):
        log.add(who=who, what="mode off", reason="test", time_s=1.0)
    log.close()

    assert coolcap("audit", "verify", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["count"] == 2
    path.write_text(path.read_text().replace('"a"', '"x"'))
    assert coolcap("audit", "verify", str(path)) == 1
    assert "line 2: does not follow" in capsys.readouterr().err
