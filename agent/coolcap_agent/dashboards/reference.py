"""The reference page of the log: every measurement with its tags and fields."""

from coolcap_agent.telemetry_log.schema import MEASUREMENTS

_INTRODUCTION = """\
# The telemetry log

Generated from `coolcap_agent/telemetry_log/schema.py` by `scripts/generate_dashboards.py`; do not
edit. This is what the controller writes to InfluxDB, or to a file of line protocol. Times are the
site's, in ns; fields are floats, texts aside; readings that are too old or out of range are left
out.

A *counter* only rises, and starts anew when the controller or the meter does: take
`non_negative_difference(last(…))` of it, and form ratios after summing. A *gauge* is a value at an
instant. Quotients of powers are no PUE and are not logged.
"""


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for m in MEASUREMENTS.values():
        tags = ", ".join(f"`{tag}`" for tag in m.tags)
        meaning = m.meaning[0].upper() + m.meaning[1:]
        parts.append(f"\n## `{m.name}`\n\n{meaning}. Tags: {tags}.\n")
        parts.append("\n| field | unit | kind | meaning |\n| --- | --- | --- | --- |\n")
        parts += [f"| `{f.name}` | {f.unit} | {f.kind} | {f.meaning} |\n" for f in m.fields]
    return "".join(parts)
