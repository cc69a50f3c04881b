"""A picture of a simulated hall: racks by inlet temperature, GPUs under their caps, and the plant.

Needs matplotlib, which is loaded with the first picture. Drawn from true readings; groups whose
telemetry is missing or old are hatched.
"""

import datetime as dt
import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.episode import Episodes
from coolcap_envs.safety.limits import Limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Frame = NDArray[np.uint8]

RENDER_MODES: Final = ("rgb_array",)
WIDTH: Final = 960
HEIGHT: Final = 540
_DPI: Final = 100
_COOLEST_C: Final = 16.0
"""Inlet temperature at the cold end of the colours; the hot end is the site's limit."""
_INK, _GREY, _PALE, _RED, _PURPLE = "#20242b", "#7a808a", "#e7e9ec", "#b3261e", "#581ca0"

_TEMPERATURES: Final = (
    ("hottest inlet", "inlet_temp_max_c", None),
    ("supply air", "supply_air_temp_c", "supply_air_temp_setpoint_c"),
    ("return air", "return_air_temp_c", None),
    ("chilled water", "chw_supply_temp_c", "chw_supply_temp_setpoint_c"),
    ("condenser water", "cw_supply_temp_c", "cw_supply_temp_setpoint_c"),
    ("coolant", "cdu_supply_temp_c", "cdu_supply_temp_setpoint_c"),
    ("outdoor", "outdoor_temp_c", None),
    ("wet bulb", "wet_bulb_temp_c", None),
)
_POWERS: Final = (
    ("IT", "it_power_w"),
    ("air fans", "crah_fan_power_w"),
    ("chiller", "chiller_power_w"),
    ("pumps", "pump_power_w"),
    ("heat rejection", "tower_fan_power_w"),
    ("losses", "loss_power_w"),
)


def checked_mode(render_mode: str | None) -> str | None:
    """Return a render mode if there is such a one.

    Raises:
        ValueError: If there is none.
    """
    if render_mode not in (None, *RENDER_MODES):
        known = ", ".join(map(repr, RENDER_MODES))
        raise ValueError(f"render_mode = {render_mode!r} is not allowed: there are None, {known}")
    return render_mode


def picture_of(episodes: Episodes, member: int) -> Frame:
    """Return a picture of one member's hall as it is now; an episode must be running."""
    truth, read = (_member(t, member) for t in (episodes.truth, episodes.moment.telemetry))
    return draw(truth, read=read, layout=episodes.layout, limits=episodes.limits)


def _member(telemetry: Telemetry, index: int) -> Telemetry:
    return Telemetry(**{f.name: getattr(telemetry, f.name)[index] for f in fields(Telemetry)})


def draw(truth: Telemetry, *, read: Telemetry, layout: Layout, limits: Limits) -> Frame:
    """Return a picture, ``[HEIGHT, WIDTH, 3]``.

    Args:
        truth: True readings of one site, without batch axes.
        read: What its instruments say, for what is missing or old.
        layout: The site's layout.
        limits: The site's limits.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    hall = figure.add_axes((0.015, 0.11, 0.575, 0.80))
    lost = ~np.isfinite(read.group("gpu_power_w")) | (read.groups_age_s > 0.0)
    _draw_hall(hall, truth, lost, layout, limits)
    _draw_scale(figure.add_axes((0.05, 0.055, 0.2, 0.022)), limits)
    _draw_temperatures(figure.add_axes((0.715, 0.49, 0.265, 0.40)), truth, limits)
    _draw_powers(figure.add_axes((0.715, 0.09, 0.265, 0.27)), truth)
    when = dt.datetime.fromtimestamp(float(truth.time_s), tz=dt.UTC)
    figure.text(0.02, 0.945, layout.name, size=13, weight="bold", color=_INK)
    figure.text(0.98, 0.945, f"{when:%d %B %H:%M} UTC", size=10, ha="right", color=_GREY)
    fit = (float(truth.of_plant(f"{name}_available_ratio")) for name in ("crah", "chiller"))
    air, chillers = (f"{share:.0%}" if np.isfinite(share) else "none" for share in fit)
    figure.text(
        0.715, 0.43, f"fit to run: air handlers {air}, chillers {chillers}", size=8.5, color=_GREY
    )
    canvas.draw()  # type: ignore[no-untyped-call]
    picture: Frame = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
    return picture


def _places(layout: Layout) -> tuple[FloatArray, FloatArray, int]:
    """Return left lower corners of the groups ``[N, 2]``, of the racks, and rows in a rack."""
    racks = layout.racks
    of_rack = [np.flatnonzero([r == name for r in layout.rack_names]) for name in racks]
    rows = max(len(members) for members in of_rack)
    # Racks as wide as high look right: the grid has more of them side by side when they are slim.
    across = max(1, min(len(racks), round(math.sqrt(len(racks) * max(rows, 2) / 2.2))))
    corners = np.zeros((layout.group_count, 2))
    rack_corners = np.zeros((len(racks), 2))
    for k, members in enumerate(of_rack):
        x, y = k % across, -(k // across) * (rows + 1.6)
        rack_corners[k] = x, y
        corners[members] = np.column_stack([np.full(len(members), x), y - np.arange(len(members))])
    return corners, rack_corners, rows


def _draw_hall(
    axes: "Axes", truth: Telemetry, lost: BoolArray, layout: Layout, limits: Limits
) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    corners, rack_corners, rows = _places(layout)
    inlet_c = truth.group("inlet_temp_c")
    shade = (inlet_c - _COOLEST_C) / (limits.inlet_temp_max_c - _COOLEST_C)
    highest_w = layout.power_limit_max_w
    power, cap = (truth.group(n) / highest_w for n in ("gpu_power_w", "power_limit_w"))

    def boxes(left: FloatArray, width: FloatArray, low: float, high: float) -> FloatArray:
        x, y = corners[:, 0] + left, corners[:, 1]
        edges = [(x, y + low), (x + width, y + low), (x + width, y + high), (x, y + high)]
        return np.stack([np.stack(edge, axis=-1) for edge in edges], axis=1)

    wide, none = np.full(len(corners), 0.84), np.zeros(len(corners))
    colours = _colours()(np.clip(shade, 0.0, 1.0))
    axes.add_collection(PolyCollection(list(boxes(none, wide, 0.06, 0.94)), facecolors=colours))
    bar = boxes(none, 0.84 * np.clip(power, 0.0, 1.0), 0.34, 0.66)
    axes.add_collection(PolyCollection(list(bar), facecolors=_INK, alpha=0.85))
    x, y = corners[:, 0] + 0.84 * np.clip(cap, 0.0, 1.0), corners[:, 1]
    marks = np.stack([np.column_stack([x, y + 0.14]), np.column_stack([x, y + 0.86])], axis=1)
    axes.add_collection(LineCollection(list(marks), colors="white", linewidths=2.6))
    axes.add_collection(LineCollection(list(marks), colors=_INK, linewidths=1.2))
    if lost.any():
        hatched = list(boxes(none, wide, 0.06, 0.94)[lost])
        axes.add_collection(
            PolyCollection(
                hatched, facecolors="none", edgecolors=_PURPLE, hatch="xxx", linewidths=1
            )
        )
    few = len(rack_corners) <= 12
    for name, (left, top) in zip(layout.racks, rack_corners, strict=True):
        label = name if few else name.rpartition("-")[2]
        axes.text(left + 0.42, top + 1.12, label, ha="center", size=8 if few else 6.5, color=_GREY)
    axes.set_xlim(-0.1, rack_corners[:, 0].max() + 0.94)
    axes.set_ylim(rack_corners[:, 1].min() - rows + 0.6, 2.0)
    axes.axis("off")


def _colours() -> Any:  # noqa: ANN401  matplotlib's colour map
    from matplotlib import colormaps

    return colormaps["RdYlBu_r"]


def _draw_scale(axes: "Axes", limits: Limits) -> None:
    """Draw the colours of inlet temperatures, and say what bars and marks are."""
    axes.imshow(
        np.linspace(0.0, 1.0, 128)[None],
        cmap=_colours(),
        aspect="auto",
        extent=(_COOLEST_C, limits.inlet_temp_max_c, 0.0, 1.0),
    )
    axes.set_yticks([])
    axes.set_xticks([_COOLEST_C, limits.inlet_temp_max_c])
    axes.tick_params(labelsize=7, length=2, colors=_GREY, pad=1)
    axes.set_title("inlet, °C", size=7.5, color=_GREY, pad=2)
    axes.text(
        1.12, 0.1, "bar: GPU power   mark: cap   hatched: telemetry missing or old",
        transform=axes.transAxes, size=7.5, color=_GREY,
    )  # fmt: skip


def _draw_temperatures(axes: "Axes", truth: Telemetry, limits: Limits) -> None:
    rows = [row for row in _TEMPERATURES if np.isfinite(truth.of_plant(row[1]))]
    for k, (_, name, lever) in enumerate(rows):
        value_c = float(truth.of_plant(name))
        is_hot = name == "inlet_temp_max_c" and value_c > limits.inlet_temp_max_c
        axes.barh(-k, value_c, height=0.55, color=_RED if is_hot else "#5b8db8")
        if lever is not None and np.isfinite(truth.of_plant(lever)):
            at_c = float(truth.of_plant(lever))
            axes.plot([at_c, at_c], [-k - 0.4, -k + 0.4], color=_INK, linewidth=1.5)
        axes.text(44.5, -k, f"{value_c:.1f}", va="center", ha="right", size=8, color=_INK)
        if name == "inlet_temp_max_c":
            limit_c = limits.inlet_temp_max_c
            axes.plot([limit_c, limit_c], [-k - 0.4, -k + 0.4], color=_RED, linewidth=1.5)
    _finish(axes, [row[0] for row in rows], "temperatures, °C (mark: set point or limit)")
    coldest_c = min(float(truth.of_plant(row[1])) for row in rows)
    axes.set_xlim(min(coldest_c, 0.0), 45.0)


def _draw_powers(axes: "Axes", truth: Telemetry) -> None:
    facility_w = float(truth.of_plant("facility_power_w"))

    def told(power_w: float) -> str:
        return f"{power_w / 1e3:.1f}" if power_w < 1e5 else f"{power_w / 1e3:,.0f}"

    for k, (_, name) in enumerate(_POWERS):
        value_w = float(truth.of_plant(name))
        axes.barh(-k, value_w, height=0.55, color="#d08a3a" if k else "#5b8db8")
        axes.text(1.12 * facility_w, -k, told(value_w), va="center", ha="right", size=8, color=_INK)
    ratio = facility_w / max(float(truth.of_plant("it_power_w")), 1.0)
    title = f"power, kW (facility {told(facility_w)}, {ratio:.2f} x IT)"
    _finish(axes, [row[0] for row in _POWERS], title)
    axes.set_xlim(0.0, 1.13 * facility_w)


def _finish(axes: "Axes", labels: list[str], title: str) -> None:
    axes.set_yticks([-k for k in range(len(labels))], labels)
    axes.tick_params(axis="y", labelsize=8, length=0, colors=_INK)
    axes.set_xticks([])
    axes.set_facecolor(_PALE)
    axes.set_title(title, size=8.5, color=_GREY, loc="left")
    for side in axes.spines.values():
        side.set_visible(False)
