"""The schema of the log: measurements with their tags and fields, derived from the signal table.

Dashboards, alert rules and documentation derive from it; the recorder writes it and nothing else.
All fields are floats, the text of an event aside. Tags take few values: names from the site file,
modes, codes. No tag has the name of a field, which InfluxDB 3 refuses.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from coolcap_agent.controller.modes import Mode
from coolcap_agent.telemetry_log.measurement import Field, Kind, Measurement
from coolcap_agent.telemetry_log.units import COUNTER_UNITS
from coolcap_envs.contract.signals import GROUP_SIGNALS, PLANT_SIGNALS, Signal
from coolcap_envs.safety.shield import REASON_TEXT

MODE_CODES: Final[Mapping[Mode, int]] = {mode: code for code, mode in enumerate(Mode)}
"""Modes as numbers, so that a panel can colour them."""
QUANTILES: Final = (10, 50, 90)
"""Per cent of the groups below the value."""
SPREAD_SIGNALS: Final = ("gpu_power_w", "power_limit_w", "gpu_temp_c", "inlet_temp_c")
"""Signals of groups whose distribution over the site is logged."""
MEAN_SIGNALS: Final = (
    "gpu_util_ratio",
    "mem_util_ratio",
    "sm_clock_mhz",
    "work_rate_ratio",
    "training_ratio",
    "prefill_ratio",
    "decode_ratio",
    "memory_bound_ratio",
)
"""Signals of groups whose mean over the site's GPUs is logged."""
MAX_SIGNALS: Final = ("gpu_power_w", "power_limit_w", "gpu_temp_c", "hbm_temp_c", "latency_ratio")
"""Signals of groups whose maximum over the site is logged."""
COOLING_POWERS: Final = ("crah_fan_power_w", "chiller_power_w", "pump_power_w", "tower_fan_power_w")
REASON_NAMES: Final = tuple(str(reason.name).lower() for reason in REASON_TEXT)


def with_aggregate(name: str, aggregate: str) -> str:
    """Return a signal's name with an aggregate before its unit: ``gpu_temp_max_c``."""
    stem, unit = name.rsplit("_", 1)
    return f"{stem}_{aggregate}_{unit}"


def _gauge(name: str, unit: str, meaning: str) -> Field:
    return Field(name=name, unit=unit, kind=Kind.GAUGE, meaning=meaning)


def _counter(name: str, unit: str, meaning: str) -> Field:
    return Field(name=name, unit=unit, kind=Kind.COUNTER, meaning=meaning)


def _state(name: str, meaning: str) -> Field:
    return Field(name=name, unit="1", kind=Kind.STATE, meaning=meaning)


def _signals(table: Sequence[Signal]) -> tuple[Field, ...]:
    return tuple(
        Field(
            name=s.name,
            unit=s.unit,
            kind=Kind.COUNTER if s.unit in COUNTER_UNITS else Kind.GAUGE,
            meaning=s.meaning,
        )
        for s in table
    )


def _meaning(name: str) -> tuple[str, str]:
    (signal,) = (s for s in GROUP_SIGNALS if s.name == name)
    return signal.unit, signal.meaning


def _over_groups() -> tuple[Field, ...]:
    found: list[Field] = []
    for name in SPREAD_SIGNALS:
        unit, meaning = _meaning(name)
        found += [
            _gauge(with_aggregate(name, f"p{q}"), unit, f"{meaning}; {q} % of the groups are below")
            for q in QUANTILES
        ]
    for name in MAX_SIGNALS:
        unit, meaning = _meaning(name)
        found.append(_gauge(with_aggregate(name, "max"), unit, f"{meaning}; highest of the site"))
    for name in MEAN_SIGNALS:
        unit, meaning = _meaning(name)
        found.append(_gauge(with_aggregate(name, "mean"), unit, f"{meaning}; mean of the site"))
    return tuple(found)


TOTALS_FIELDS: Final = (
    _counter("elapsed_s", "s", "time since the meter started"),
    _counter("covered_s", "s", "part of it with complete, plausible counters"),
    _counter("it_energy_kwh", "kWh", "energy at the input of the IT equipment, covered time only"),
    _counter("cooling_energy_kwh", "kWh", "energy of fans, compressors and pumps outside it"),
    _counter("facility_energy_kwh", "kWh", "energy at the facility's meter"),
    _counter("makeup_water_l", "L", "make-up water"),
    _counter("carbon_kg", "kg", "the grid's emissions for the facility's energy"),
    _counter("cost_usd", "USD", "price of the facility's energy"),
    _counter("work_gpu_h", "GPU·h", "useful work in reference GPU-hours"),
    _counter("gpu_energy_kwh", "kWh", "energy of the GPUs, while all of them are known"),
    _counter("gpu_it_energy_kwh", "kWh", "IT energy of the same time: ITUE is their quotient"),
    _counter("reused_energy_kwh", "kWh", "energy reused outside the site, where it is metered"),
    _counter("reuse_facility_energy_kwh", "kWh", "facility energy of the same time"),
)
"""What ``contract.meters.Totals`` holds, by the same names."""

PLANT: Final = Measurement(
    name="plant",
    tags=("site",),
    fields=_signals(PLANT_SIGNALS),
    meaning="readings of the plant, levers in force included",
)
FACILITY: Final = Measurement(
    name="facility",
    tags=("site",),
    fields=(
        *TOTALS_FIELDS,
        _gauge("it_power_w", "W", "power at the IT equipment's input"),
        _gauge("facility_power_w", "W", "power at the facility's meter"),
        _gauge("it_power_bound_w", "W", "most the IT equipment can draw under the caps in force"),
        _gauge("inlet_temp_max_c", "°C", "hottest server inlet of the hall"),
        _gauge("inlet_temp_limit_c", "°C", "highest inlet the site allows"),
        _gauge("inlet_margin_k", "K", "inlet limit minus hottest inlet"),
        _gauge("gpu_temp_margin_k", "K", "least distance of a GPU or its memory to its limit"),
        _gauge("telemetry_age_max_s", "s", "age of the oldest reading decisions need"),
        _gauge("group_count", "1", "control groups"),
        _gauge("group_stale_count", "1", "groups whose readings are too old, missing or invalid"),
        *_over_groups(),
    ),
    meaning="the site as a whole: meters since the controller's start, powers, margins, spread",
)
PLANT_1M: Final = Measurement(
    name="plant_1m",
    tags=PLANT.tags,
    fields=PLANT.fields,
    meaning="`plant` by the minute: mean of gauges, last of counters; for long ranges",
)
FACILITY_1M: Final = Measurement(
    name="facility_1m",
    tags=FACILITY.tags,
    fields=FACILITY.fields,
    meaning="`facility` by the minute: mean of gauges, last of counters; for long ranges",
)
METER: Final = Measurement(
    name="meter",
    tags=("site", "mode"),
    fields=TOTALS_FIELDS,
    meaning="meters since the controller's start, apart for each mode of the controller; by the "
    "minute",
)
RACK: Final = Measurement(
    name="rack",
    tags=("site", "rack"),
    fields=_signals(GROUP_SIGNALS),
    meaning="a rack's groups by the signals' aggregation; sums only if every group is known",
)
RACK_1M: Final = Measurement(
    name="rack_1m",
    tags=RACK.tags,
    fields=RACK.fields,
    meaning="`rack` by the minute: mean of gauges, last of counters; for long ranges",
)
NODE: Final = Measurement(
    name="node",
    tags=("site", "node", "rack"),
    fields=_signals(GROUP_SIGNALS),
    meaning="a node's groups by the signals' aggregation; sums only if every group is known",
)
GPU_SIGNALS: Final = (
    "gpu_power_w",
    "power_limit_w",
    "sm_clock_mhz",
    "gpu_util_ratio",
    "mem_util_ratio",
    "gpu_temp_c",
    "hbm_temp_c",
    "work_rate_ratio",
    "it_power_w",
    "it_energy_kwh",
    "work_gpu_h",
)
"""Signals of groups that are also logged of each GPU."""
GPU: Final = Measurement(
    name="gpu",
    tags=("site", "gpu", "group", "node", "rack"),
    fields=_signals([s for s in GROUP_SIGNALS if s.name in GPU_SIGNALS]),
    meaning="readings of each GPU, `node/index`; what its server draws beside the GPUs is shared "
    "evenly among them",
)
GROUP: Final = Measurement(
    name="group",
    tags=("site", "group", "node", "rack"),
    fields=(
        *_signals(GROUP_SIGNALS),
        _gauge("power_cap_w", "W", "cap last commanded, per GPU"),
        _gauge("telemetry_age_s", "s", "age of the group's readings"),
    ),
    meaning="readings of each control group",
)
LOOP: Final = Measurement(
    name="loop",
    tags=("site",),
    fields=(
        _state("mode_code", "mode: " + ", ".join(f"{c} {m}" for m, c in MODE_CODES.items())),
        _state("readings_fit", "whether readings are good enough to decide on"),
        _state("failing", "whether the policy or its readings fail"),
        _counter("tick_count", "1", "decisions"),
        _counter("missed_count", "1", "decisions without a usable answer of the policy"),
        _gauge("latency_s", "s", "time of the last decision, telemetry to answers"),
        _gauge("agent_count", "1", "configured agents"),
        _gauge("agent_connected_count", "1", "agents whose telemetry arrives"),
        _gauge("agent_leased_count", "1", "agents whose lease is held"),
        _counter("log_written_count", "1", "lines of this log that reached their destination"),
        _gauge("log_waiting_count", "1", "lines waiting in the spool"),
        _counter("log_dropped_count", "1", "lines given up: refused, or no room"),
    ),
    meaning="the control loop, its agents and this log",
)
BUDGET: Final = Measurement(
    name="budget",
    tags=("site", "budget"),
    fields=(
        _gauge("budget_w", "W", "IT power the budget allows now"),
        _gauge("power_w", "W", "IT power its members draw"),
        _gauge("power_bound_w", "W", "most they can draw under the caps in force, with margin"),
        _gauge("margin_w", "W", "budget minus power"),
    ),
    meaning="each power budget",
)
AGENT: Final = Measurement(
    name="agent",
    tags=("site", "agent", "kind"),
    fields=(
        _state("connected", "whether its telemetry arrives"),
        _state("lease_held", "whether the controller holds its lease"),
        _gauge("telemetry_age_s", "s", "age of its newest telemetry"),
    ),
    meaning="each node agent and the plant agent",
)
DECISION: Final = Measurement(
    name="decision",
    tags=("site", "actor", "mode"),
    fields=(
        _gauge("latency_s", "s", "telemetry to the agents' answers"),
        _gauge("policy_latency_s", "s", "time the policy took"),
        _gauge("groups_fit_count", "1", "groups whose readings could be used"),
        _gauge("refusal_count", "1", "devices that did not take their command"),
        _gauge("power_cap_in_force_mean_w", "W", "cap per GPU before, mean of the site"),
        _gauge("power_cap_baseline_mean_w", "W", "what the feedback rule alone would set"),
        _gauge("power_cap_policy_mean_w", "W", "what the policy asked for"),
        _gauge("power_cap_shielded_mean_w", "W", "what the shield allowed"),
        _gauge("power_cap_commanded_mean_w", "W", "what was sent"),
        *(
            _gauge(f"group_reason_{reason}_count", "1", f"caps the shield changed: {text}")
            for reason, text in zip(REASON_NAMES, REASON_TEXT.values(), strict=True)
        ),
        *(
            _gauge(f"lever_reason_{reason}_count", "1", f"levers the shield changed: {text}")
            for reason, text in zip(REASON_NAMES, REASON_TEXT.values(), strict=True)
        ),
    ),
    meaning="each decision, also those of the guard between two policy ticks",
)
_STEPS: Final = (
    ("in_force", "what was in force before the decision"),
    ("baseline", "what the feedback rule alone would set"),
    ("policy", "what the policy asked for"),
    ("shielded", "what the shield allowed"),
    ("commanded", "what was sent"),
    ("read_back", "what the device then held"),
)


def _steps(unit: str) -> tuple[Field, ...]:
    steps = tuple(_gauge(name, unit, meaning) for name, meaning in _STEPS)
    return (*steps, _state("reason_bits", "why the shield changed it: bits of its reasons"))


CAP: Final = Measurement(
    name="cap",
    tags=GROUP.tags,
    fields=_steps("W"),
    meaning="each decision about the power cap per GPU of each group",
)
SETPOINT: Final = Measurement(
    name="setpoint",
    tags=("site", "lever"),
    fields=_steps("the lever's"),
    meaning="each decision about each plant lever of the site",
)
STEP_NAMES: Final = CAP.field_names
EVENT: Final = Measurement(
    name="event",
    tags=("site", "code", "subject"),
    fields=(
        _state("active", "1: it began; 0: it ended"),
        _state("severity", "1 to know, 2 to look at, 3 to act on now"),
        Field(name="message", unit="", kind=Kind.TEXT, meaning="what happened and what to do"),
    ),
    meaning="changes of mode, faults and what people did",
)

SWITCHBACK: Final = Measurement(
    name="switchback",
    tags=("site",),
    fields=(
        _gauge("start_time_s", "s", "begin of the first block, seconds since 1970-01-01 UTC"),
        _gauge("block_s", "s", "length of a block"),
        _gauge("washout_s", "s", "begin of each block that reports leave out"),
        _gauge("pair_count", "1", "pairs of blocks"),
        _gauge("seed", "1", "what the order within pairs is drawn from"),
        _gauge("block_index", "1", "the block now, from 0"),
        _state("policy_arm", "1: the policy's block, 0: the feedback rule's"),
        _state("washing_out", "whether the block's washout still runs"),
        _state("undisturbed", "whether mode auto acts and nothing is overridden"),
    ),
    meaning="the randomised switchback while one runs: whose turn it is",
)
CANARY: Final = Measurement(
    name="canary",
    tags=("site", "arm"),
    fields=(
        _gauge("group_count", "1", "groups"),
        _gauge("gpu_power_mean_w", "W", "power per GPU"),
        _gauge("power_limit_mean_w", "W", "power limit in force per GPU"),
        _gauge("work_rate_mean_ratio", "1", "useful work per second relative to uncapped"),
    ),
    meaning="while a share of the groups is the policy's: its groups and the rule's apart",
)

MEASUREMENTS: Final[Mapping[str, Measurement]] = {
    m.name: m
    for m in (
        PLANT,
        FACILITY,
        PLANT_1M,
        FACILITY_1M,
        METER,
        RACK,
        RACK_1M,
        NODE,
        GROUP,
        GPU,
        LOOP,
        BUDGET,
        AGENT,
        DECISION,
        CAP,
        SETPOINT,
        EVENT,
        SWITCHBACK,
        CANARY,
    )
}
