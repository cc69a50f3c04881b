"""The committed dashboards and provisioning files: fresh, complete and consistent."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from coolcap_agent.dashboards.sdk import DATASOURCE_UID
from support.grafana import DEPLOY, alert_rules, dashboards

ROOT = Path(__file__).parents[3]
BOARDS = dashboards()
RULES = {rule["uid"]: rule for rule in alert_rules()}
TITLES = {
    "coolcap-operations": "coolcap: Operations",
    "coolcap-energy": "coolcap: Energy and PUE",
    "coolcap-gpus": "coolcap: GPUs and caps",
    "coolcap-cooling": "coolcap: Cooling",
    "coolcap-decisions": "coolcap: Decisions and safety",
    "coolcap-savings": "coolcap: Savings",
}


def data_panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] not in ("row", "text")]


@pytest.mark.parametrize("seed", ["0", "1"])
def test_committed_files_are_what_the_code_generates(seed: str) -> None:
    """Run ``python scripts/generate_dashboards.py`` when this fails."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate_dashboards.py"), "--check"],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_dashboard_for_each_question() -> None:
    assert {uid: board["title"] for uid, board in BOARDS.items()} == TITLES
    assert all(board["uid"] == uid for uid, board in BOARDS.items())


@pytest.mark.parametrize("uid", BOARDS)
def test_ids_of_panels_are_explicit_and_unique(uid: str) -> None:
    ids = [panel["id"] for panel in BOARDS[uid]["panels"]]

    assert len(set(ids)) == len(ids)
    assert all(id_ > 0 for id_ in ids)


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_fill_the_grid_without_overlap(uid: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[uid]["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    rows = [panel["gridPos"]["y"] for panel in BOARDS[uid]["panels"]]
    assert all(a <= b for a, b in pairwise(rows))


@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_says_what_it_shows_from_where_and_in_which_unit(uid: str) -> None:
    for panel in data_panels(BOARDS[uid]):
        assert panel["title"]
        what, _, sources = panel["description"].partition("\n\n")
        assert what.endswith(".")
        assert re.search(r"^- `\w+\.\w+`: .+", sources), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_every_query_names_the_fixed_data_source(uid: str) -> None:
    expected = {"type": "influxdb", "uid": DATASOURCE_UID}
    board = BOARDS[uid]
    for panel in data_panels(board):
        assert panel["datasource"] == expected
        assert all(target["datasource"] == expected for target in panel["targets"])
        assert all(target["rawQuery"] for target in panel["targets"])
    variables = [v for v in board["templating"]["list"] if v["type"] == "query"]
    assert all(variable["datasource"] == expected for variable in variables)


@pytest.mark.parametrize("uid", BOARDS)
def test_variables_are_used_and_those_used_exist(uid: str) -> None:
    board = BOARDS[uid]
    texts = [t["query"] for panel in data_panels(board) for t in panel["targets"]]
    texts += [v["query"] for v in board["templating"]["list"]]
    macros = {"timeFilter", "__interval"}
    used = {name for text in texts for name in re.findall(r"\$([A-Za-z_]\w*)", text)} - macros
    offered = {variable["name"] for variable in board["templating"]["list"]}

    assert used == offered
    assert "site" in offered


@pytest.mark.parametrize("uid", BOARDS)
def test_no_panel_calls_a_quotient_of_powers_pue(uid: str) -> None:
    for panel in data_panels(BOARDS[uid]):
        for target in panel["targets"]:
            if "/" in re.sub(r"=~ /[^/]*/", "", target["query"]):
                assert "_power_w" not in target["query"], panel["title"]
                assert "non_negative_difference(last(" in target["query"], panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_no_graph_reads_every_group(uid: str) -> None:
    """A thousand groups over hours take InfluxDB a minute; means of the site are logged as such."""
    for panel in data_panels(BOARDS[uid]):
        for target in panel["targets"]:
            if re.search(r'FROM "(group|cap)".*GROUP BY time\(', target["query"]):
                assert '"group" =~ /^$group$/' in target["query"], panel["title"]
    for variable in BOARDS[uid]["templating"]["list"]:
        assert variable["name"] != "group" or not variable["includeAll"]


@pytest.mark.parametrize("uid", ["coolcap-energy", "coolcap-cooling", "coolcap-savings"])
def test_dashboards_of_long_ranges_read_means_by_the_minute(uid: str) -> None:
    by_second = r'FROM "(facility|plant|group|rack)"'
    for panel in data_panels(BOARDS[uid]):
        assert not any(re.search(by_second, target["query"]) for target in panel["targets"])


def test_savings_say_first_what_a_log_cannot_show() -> None:
    first = BOARDS["coolcap-savings"]["panels"][0]

    assert first["type"] == "text"
    assert "would have been" in first["options"]["content"]


@pytest.mark.parametrize("uid", RULES)
def test_rule_has_query_reduction_and_threshold(uid: str) -> None:
    rule = RULES[uid]
    query, reduction, threshold = rule["data"]

    assert query["datasourceUid"] == query["model"]["datasource"]["uid"] == DATASOURCE_UID
    assert "GROUP BY time(" in query["model"]["query"]
    assert (reduction["model"]["type"], reduction["model"]["expression"]) == ("reduce", "A")
    assert (threshold["model"]["type"], threshold["model"]["expression"]) == ("threshold", "B")
    assert rule["condition"] == threshold["refId"] == "C"
    assert len(uid) <= 40


@pytest.mark.parametrize("uid", RULES)
def test_rule_points_to_the_panel_that_shows_what_is_wrong(uid: str) -> None:
    rule = RULES[uid]
    panels = {panel["id"]: panel for panel in BOARDS[rule["dashboardUid"]]["panels"]}
    measurement = re.search(r'FROM "(\w+)"', rule["data"][0]["model"]["query"])

    assert measurement is not None
    queries = [target["query"] for target in panels[rule["panelId"]]["targets"]]
    assert any(f'FROM "{measurement[1]}"' in query for query in queries)


@pytest.mark.parametrize("uid", RULES)
def test_rule_tells_people_what_where_and_what_to_do(uid: str) -> None:
    """A dollar in these texts is taken for a variable of the environment by some versions."""
    rule = RULES[uid]
    notes = rule["annotations"]

    assert "{{ .Labels.site }}" in notes["summary"]
    assert notes["description"].endswith(".")
    assert not any("$" in str(text) for text in (rule["title"], *notes.values()))
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_rules_cover_what_an_operator_must_hear_of() -> None:
    assert set(RULES) == {
        "coolcap-telemetry-stale",
        "coolcap-inlet-near-limit",
        "coolcap-budget-exceeded",
        "coolcap-fallback",
        "coolcap-tripped",
        "coolcap-agent-lost",
        "coolcap-log-dropped",
    }


@pytest.mark.parametrize("version", ["1", "2-3"])
def test_data_source_speaks_influxql_under_the_uid_of_the_dashboards(version: str) -> None:
    path = DEPLOY / "datasources" / f"influxdb-{version}.yaml"
    (source,) = yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]

    assert source["uid"] == DATASOURCE_UID
    assert source["type"] == "influxdb"
    assert source["jsonData"]["version"] == "InfluxQL"
    has_token = source.get("secureJsonData", {}).get("httpHeaderValue1", "").startswith("Token ")
    assert has_token == (version == "2-3")
