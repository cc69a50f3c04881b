"""Alert rules as Grafana provisions them: a query, its last value, a threshold.

A rule cannot follow a dashboard's variable, so it asks for every site at once and speaks for each
by itself; its data source has a fixed uid. Every query groups by time, as Grafana demands.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from coolcap_agent.controller.modes import Mode
from coolcap_agent.dashboards.sdk import DATASOURCE_UID
from coolcap_agent.telemetry_log.measurement import Kind, Measurement
from coolcap_agent.telemetry_log.schema import AGENT, BUDGET, FACILITY, LOOP, MODE_CODES

FOLDER: Final = "coolcap"
GROUP: Final = "coolcap"
EVERY: Final = "30s"
"""How often rules are evaluated."""
LOOK_BACK_S: Final = 300
STEP: Final = "30s"

NoData = Literal["OK", "NoData", "Alerting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alert rule.

    Attributes:
        uid: Stays for ever.
        title: What is wrong.
        of: The measurement it looks at.
        field: Its field; of a counter the rise.
        function: Aggregate within ``STEP``.
        reduce: How the steps of the last five minutes become one number.
        by: Tags beside the site; each combination is alerted apart.
        evaluator: Grafana's comparison.
        limits: With what; two for a range.
        patience: How long it must hold.
        severity: Label for routing.
        panel: Dashboard and panel that show it.
        summary: For people; ``{{ .Labels.site }}`` and such are filled in. Without ``$``, which
            some versions of Grafana take for a variable of the environment.
        advice: What to do.
        no_data: What no data means.
    """

    uid: str
    title: str
    of: Measurement
    field: str
    function: str
    reduce: Literal["last", "min", "max", "sum"]
    evaluator: Literal["gt", "lt", "within_range"]
    limits: tuple[float, ...]
    patience: str
    severity: Literal["critical", "warning"]
    panel: tuple[str, int]
    summary: str
    advice: str
    by: tuple[str, ...] = ()
    no_data: NoData = "OK"

    @property
    def query(self) -> str:
        """Return the rule's InfluxQL."""
        column = f'{self.function}("{self.field}")'
        if self.of.field(self.field).kind is Kind.COUNTER:
            column = f"non_negative_difference({column})"
        tags = ", ".join(f'"{tag}"' for tag in ("site", *self.by))
        return (
            f'SELECT {column} AS "value" FROM "{self.of.name}" WHERE $timeFilter '
            f"GROUP BY time({STEP}), {tags} fill(none)"
        )

    def provisioned(self) -> dict[str, Any]:
        """Return the rule as Grafana's alerting files have it."""
        dashboard, panel = self.panel
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "data": [self._query(), self._reduction(), self._threshold()],
            "dashboardUid": dashboard,
            "panelId": panel,
            "noDataState": self.no_data,
            "execErrState": "Error",
            "for": self.patience,
            "annotations": {
                "summary": self.summary,
                "description": self.advice,
                # Both are needed for Grafana to draw the alert on its panel.
                "__dashboardUid__": dashboard,
                "__panelId__": str(panel),
            },
            "labels": {"severity": self.severity, "system": "coolcap"},
            "isPaused": False,
        }

    def _query(self) -> dict[str, Any]:
        return {
            "refId": "A",
            "relativeTimeRange": {"from": LOOK_BACK_S, "to": 0},
            "datasourceUid": DATASOURCE_UID,
            "model": {
                "refId": "A",
                "datasource": {"type": "influxdb", "uid": DATASOURCE_UID},
                "query": self.query,
                "rawQuery": True,
                "resultFormat": "time_series",
                "intervalMs": 30_000,
                "maxDataPoints": 100,
            },
        }

    def _reduction(self) -> dict[str, Any]:
        return _expression(
            "B", {"type": "reduce", "expression": "A", "reducer": self.reduce, "settings": {}}
        )

    def _threshold(self) -> dict[str, Any]:
        evaluator = {"type": self.evaluator, "params": list(self.limits)}
        conditions = [{"evaluator": evaluator}]
        return _expression("C", {"type": "threshold", "expression": "B", "conditions": conditions})


def _expression(ref_id: str, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": ref_id,
        "relativeTimeRange": {"from": LOOK_BACK_S, "to": 0},
        "datasourceUid": "__expr__",
        "model": {
            "refId": ref_id,
            "datasource": {"type": "__expr__", "uid": "__expr__"},
            **model,
        },
    }


def _mode_range(mode: Mode) -> tuple[float, float]:
    return MODE_CODES[mode] - 0.5, MODE_CODES[mode] + 0.5


RULES: Final = (
    Rule(
        uid="coolcap-telemetry-stale",
        title="Telemetry is stale",
        of=FACILITY,
        field="telemetry_age_max_s",
        function="max",
        reduce="last",
        evaluator="gt",
        limits=(60.0,),
        patience="1m",
        severity="critical",
        panel=("coolcap-operations", 304),
        summary="Site {{ .Labels.site }}: the oldest reading decisions need is "
        '{{ .Values.B.Value | printf "%.0f" }} s old.',
        advice="Beyond the site's limit the loop falls back to safe setpoints. Look at Agents on "
        "the Operations dashboard; without any data the controller itself, or the database, is "
        "silent.",
        no_data="Alerting",
    ),
    Rule(
        uid="coolcap-inlet-near-limit",
        title="Inlet is near its limit",
        of=FACILITY,
        field="inlet_margin_k",
        function="min",
        reduce="last",
        evaluator="lt",
        limits=(1.0,),
        patience="2m",
        severity="critical",
        panel=("coolcap-operations", 201),
        summary="Site {{ .Labels.site }}: the hottest inlet is "
        '{{ .Values.B.Value | printf "%.1f" }} K below its limit.',
        advice="The shield asks for more cooling and cuts caps above the limit. See whether air "
        "handlers and chillers run and whether somebody overrides a setpoint.",
    ),
    Rule(
        uid="coolcap-budget-exceeded",
        title="Power budget is exceeded",
        of=BUDGET,
        field="margin_w",
        function="min",
        reduce="last",
        by=("budget",),
        evaluator="lt",
        limits=(0.0,),
        patience="30s",
        severity="critical",
        panel=("coolcap-operations", 104),
        summary="Budget {{ .Labels.budget }} of site {{ .Labels.site }} is exceeded: margin "
        '{{ .Values.B.Value | printf "%.0f" }} W.',
        advice="Caps are lowered at once where the controller may command; see which agents have "
        "no lease, and whether the budget can be met at the lowest caps at all.",
    ),
    Rule(
        uid="coolcap-fallback",
        title="Controller is in fallback",
        of=LOOP,
        field="mode_code",
        function="last",
        reduce="last",
        evaluator="within_range",
        limits=_mode_range(Mode.FALLBACK),
        patience="2m",
        severity="warning",
        panel=("coolcap-operations", 301),
        summary="Site {{ .Labels.site }}: readings or the policy have failed; rule or safe "
        "setpoints act.",
        advice="It comes back by itself after three good decisions. `coolcap status` names the "
        "cause.",
    ),
    Rule(
        uid="coolcap-tripped",
        title="Controller is tripped",
        of=LOOP,
        field="mode_code",
        function="last",
        reduce="last",
        evaluator="within_range",
        limits=_mode_range(Mode.TRIPPED),
        patience="0s",
        severity="critical",
        panel=("coolcap-operations", 301),
        summary="Site {{ .Labels.site }}: a hard limit was passed; cooling is handed back.",
        advice="Find and remove the cause, then ask for a mode with `coolcap mode --reset-trip`.",
    ),
    Rule(
        uid="coolcap-agent-lost",
        title="Agent is lost",
        of=AGENT,
        field="connected",
        function="min",
        reduce="last",
        by=("agent",),
        evaluator="lt",
        limits=(0.5,),
        patience="1m",
        severity="warning",
        panel=("coolcap-operations", 302),
        summary="Agent {{ .Labels.agent }} of site {{ .Labels.site }} sends no telemetry.",
        advice="It restores what it found when its lease ends. Look at its service and at the "
        "network; its certificate may have expired.",
    ),
    Rule(
        uid="coolcap-log-dropped",
        title="Log lines are dropped",
        of=LOOP,
        field="log_dropped_count",
        function="last",
        reduce="sum",
        evaluator="gt",
        limits=(0.0,),
        patience="0s",
        severity="warning",
        panel=("coolcap-decisions", 303),
        summary='Site {{ .Labels.site }}: {{ .Values.B.Value | printf "%.0f" }} lines of the log '
        "were given up in five minutes.",
        advice="The database refuses them or the spool is full. `coolcap status` has the server's "
        "words; refused lines are kept in the spool file.",
    ),
)


def alerting_file() -> dict[str, Any]:
    """Return the provisioning file of all rules."""
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER,
        "interval": EVERY,
        "rules": [rule.provisioned() for rule in RULES],
    }
    return {"apiVersion": 1, "groups": [group]}
