"""Tests of ``coolcap-train validate``."""

import json

import pytest
from typer.testing import CliRunner

from coolcap_training.cli import app
from coolcap_training.validation import cli, run
from coolcap_training.validation.check import Check, Validation, not_run

MET = Check(name="a", source="s", metric="m", value=1.0, target=2.0, rows=3)
MISSED = Check(name="b", source="s", metric="m", value=3.0, target=2.0, rows=3)
ABSENT = not_run("c", source="s", metric="m", reason="no data")


def _finding(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    found = Validation(checks=checks, headroom=(), series={})
    monkeypatch.setattr(run, "validate", lambda *_, **__: found)


def test_json_is_one_object_with_every_check(monkeypatch: pytest.MonkeyPatch) -> None:
    _finding(monkeypatch, MET, MISSED, ABSENT)
    result = CliRunner().invoke(app, ["validate", "--json"])
    told = json.loads(result.stdout)
    assert [check["status"] for check in told["checks"]] == ["met", "missed", "not run"]
    assert told["checks"][0]["rows"] == 3
    assert told["missed"] == ["b"]
    assert told["not_run"] == ["c"]
    assert result.exit_code == 1


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--require-data"], 3)])
def test_missing_data_matters_only_if_required(
    monkeypatch: pytest.MonkeyPatch, options: list[str], code: int
) -> None:
    _finding(monkeypatch, MET, ABSENT)
    result = CliRunner().invoke(app, ["validate", *options])
    assert result.exit_code == code
    assert "not run   c: m no data" in result.stdout
    assert result.stdout.endswith("2 checks: 0 missed, 1 not run\n")


def test_docs_can_be_written_from_a_checkout() -> None:
    assert (cli.docs_folder() / "plant-model.md").is_file()
