"""A batch of simulated sites behind the same protocol as real devices.

Member i of a batch depends on its own seed only, never on its place or on the others, bit for bit.
Kernels advance the batch; this file seeds, takes setpoints, reads out and counts.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from coolcap_envs.compiled.engine import Engine
from coolcap_envs.contract.layout import Layout
from coolcap_envs.contract.levers import PLANT_LEVERS
from coolcap_envs.contract.setpoints import Applied, Setpoints
from coolcap_envs.contract.telemetry import BoolArray, FloatArray, Telemetry
from coolcap_envs.faults.on_plant import PlantFaults
from coolcap_envs.faults.plan import FaultPlan
from coolcap_envs.outside import Outside
from coolcap_envs.physics import hall
from coolcap_envs.physics.batch import Batch, aligned_zeros, get_members
from coolcap_envs.physics.constants import SECONDS_PER_HOUR
from coolcap_envs.physics.jit import use_threads
from coolcap_envs.physics.lanes import LANES
from coolcap_envs.physics.records import (
    GROUP_INPUT_DTYPE,
    GROUP_STATE_DTYPE,
    PLANT_INPUT_DTYPE,
    PLANT_STATE_DTYPE,
    SUBSTEP_S,
    in_lanes,
)
from coolcap_envs.physics.sensors import GROUP_READING_DTYPE, PLANT_READING_DTYPE, read_out
from coolcap_envs.plant_parameters import ParameterTemplates
from coolcap_envs.plant_totals import Totals, totals_of
from coolcap_envs.reward import Weights
from coolcap_envs.safety.limits import Limits
from coolcap_envs.site import Site
from coolcap_envs.warm_start import start_warm
from coolcap_envs.weather import HOURS_PER_YEAR
from coolcap_envs.workload.demand import class_table
from coolcap_envs.workload.feed import DemandFeed
from coolcap_envs.workload.profile import Profile
from coolcap_envs.workload.start import start_work

_LEVER_INPUTS: Final = (
    "supply_air_setpoint_c",
    "chw_setpoint_c",
    "cw_setpoint_c",
    "air_flow_setpoint_ratio",
    "cdu_supply_setpoint_c",
    "cdu_flow_setpoint_ratio",
)
"""Inputs of the physics, in the order of ``PLANT_LEVERS``."""
_AVAILABILITIES: Final = ("crah", "chiller", "tower", "pump", "cdu")
_REFUSALS_LISTED: Final = 16
_UNLIMITED: Final = 1e9
RANDOMISE_RATIO_MAX: Final = 2.0
"""Twice the ranges of training: every randomised number stays positive or zero."""
_DAY_S: Final = 86_400.0


def _streams(seed: int) -> list[np.random.SeedSequence]:
    """Return sources of randomness: of plant, demand, noise, faults and recorded work."""
    return np.random.SeedSequence(seed).spawn(5)


class SimulatedPlant:
    """One simulated site, or a batch of them; implements ``contract.plant.Plant``.

    Args:
        site: The site.
        batch_size: Number of plants; None for a single one, without a batch axis.
        seed: Plant i starts with a :meth:`reset` by ``seed + i``.
        threads: Threads that advance the batch; 1 is best below about 128 plants.
    """

    def __init__(
        self, site: Site, *, batch_size: int | None = None, seed: int = 0, threads: int = 1
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; at least 1 is needed")
        self._site = site
        self._is_single = batch_size is None
        self._threads = threads
        count, groups = batch_size or 1, site.layout.group_count
        self._templates = ParameterTemplates(site)
        self._outside = Outside(site)
        self._batch = Batch.zeros(
            plants=count,
            model_of=self._templates.model_of,
            models=len(self._templates.models),
            hourly=self._outside.hourly,
            devices=site.devices,
        )
        self._feed = DemandFeed(class_table(site.workload), plants=count, groups=groups)
        self._faults = PlantFaults(site, self._batch, levers=_LEVER_INPUTS)
        self._heat_at_reset_j = np.zeros(count)
        tiles = len(self._batch.plant)
        self._group_readings = aligned_zeros((tiles, groups), in_lanes(GROUP_READING_DTYPE))
        self._plant_readings = aligned_zeros((tiles,), in_lanes(PLANT_READING_DTYPE))
        self._has_lever = site.layout.plant_levers.copy()
        self._can_take = site.layout.plant_levers.copy()
        self.reset([seed + i for i in range(count)])

    @property
    def layout(self) -> Layout:
        """Return what stands where."""
        return self._site.layout

    @property
    def limits(self) -> Limits:
        """Return the site's limits; the plant itself refuses only what its devices refuse."""
        return self._site.limits

    @property
    def batch(self) -> Batch:
        """Return state, parameters and inputs, for studies of the physics."""
        return self._batch

    @property
    def time_s(self) -> FloatArray:
        """Return the instant it is at, seconds since 1970 UTC."""
        return self._shaped(self._batch.get("plant", "time_s"))

    @property
    def in_force(self) -> Setpoints:
        """Return what the devices hold."""
        return self.apply(Setpoints.none(*self._shaped(self._faults.held_caps_w()).shape)).setpoints

    def engine(self, weights: Weights, *, threads: int) -> Engine:
        """Return what makes whole control steps with these plants, compiled."""
        return Engine(self._site, self._batch, self._feed, weights, threads=threads)

    @property
    def is_undisturbed(self) -> bool:
        """Return whether nothing but inputs and physics acts: no faults, no jobs over groups."""
        return not self._faults.in_use and self._feed.pace(self._batch) is None

    @property
    def weathers(self) -> tuple[str, ...]:
        """Return the names of the site's weather years."""
        return self._site.weathers

    def reset(
        self,
        seeds: int | Sequence[int],
        *,
        where: BoolArray | None = None,
        start_time_s: float | ArrayLike | None = None,
        randomise_ratio: float = 0.0,
        weather: str | Sequence[str] | None = None,
        workload: Profile | None = None,
        trace: str | None = None,
        faults: FaultPlan | None = None,
    ) -> None:
        """Start new episodes: default setpoints, counters at 0, everything drawn from the seeds.

        Args:
            seeds: One per plant, those of plants that go on being ignored; or one for a single.
            where: Which plants to reset, shape ``[B]``; all if None.
            start_time_s: UTC, one for all or one per plant; None draws a midnight of the year.
            randomise_ratio: How much of the site's randomisation applies: 0 none, 1 all, up to 2
                for plants further from the nominal one than any that is trained on.
            weather: Name of a weather year, one for all or one per plant; None draws one of the
                site's.
            workload: Parameters of the generated work in place of the site's.
            trace: Recorded work, ``KIND:FILE``, in place of the site's.
            faults: What goes wrong; None for nothing.

        Raises:
            ValueError: If the number of seeds is not the number of plants.
            ConfigError: If a weather year or recording is missing or wrong, or faults do not fit.
        """
        count = self._batch.size
        each = [seeds] if isinstance(seeds, int | np.integer) else list(seeds)
        if len(each) != count:
            raise ValueError(f"{len(each)} seeds for {count} plants; one for each is needed")
        if not 0.0 <= randomise_ratio <= RANDOMISE_RATIO_MAX:
            raise ValueError(
                f"randomise_ratio is {randomise_ratio}; 0 to {RANDOMISE_RATIO_MAX:g} is allowed"
            )
        chosen = np.flatnonzero(np.ones(count, dtype=bool) if where is None else where)
        times = np.full(count, np.nan)
        if start_time_s is not None:
            times[:] = start_time_s
        for b in chosen.tolist():
            year = weather if weather is None or isinstance(weather, str) else weather[b]
            self._draw(b, int(each[b]), float(times[b]), randomise_ratio, year)
            self._draw_work_and_faults(b, int(each[b]), workload, trace, faults)
        self._feed.write(self._batch)
        start_warm(self._batch, chosen)
        self._heat_at_reset_j[chosen] = self._batch.get("plant", "stored_heat_j")[chosen]

    def _draw(
        self, b: int, seed: int, start_time_s: float, randomise_ratio: float, weather: str | None
    ) -> None:
        """Set everything of plant ``b`` that its seed decides, and its inputs to defaults."""
        batch = self._batch
        of_plant, _, of_noise, *_ = _streams(seed)
        rng = np.random.default_rng(of_plant)
        drawn = self.weathers[int(rng.integers(len(self.weathers)))]
        day = int(rng.integers(HOURS_PER_YEAR // 24))
        row = self._outside.row(drawn if weather is None else weather)
        offset_s = SECONDS_PER_HOUR * self._outside.utc_offset_h(row)
        if np.isnan(start_time_s):
            start_time_s = hall.YEAR_START_S + _DAY_S * day - offset_s
        plant, groups, models, classes = self._templates.draw(rng, randomise_ratio)
        state = np.zeros((), PLANT_STATE_DTYPE)
        state["time_s"] = start_time_s
        state["noise_key"] = of_noise.generate_state(1, np.uint64)[0]
        inputs = np.zeros((), PLANT_INPUT_DTYPE)
        for k, (name, lever) in enumerate(zip(_LEVER_INPUTS, PLANT_LEVERS, strict=True)):
            default = self.limits.lever_default[k]
            inputs[name] = self._site.held.get(lever.name, 0.0) if np.isnan(default) else default
        for name in _AVAILABILITIES:
            inputs[f"{name}_available_ratio"] = 1.0
        group_inputs = np.zeros(len(groups), GROUP_INPUT_DTYPE)
        group_inputs["power_cap_w"] = self.layout.power_limit_default_w
        group_inputs["clock_max_ratio"] = 1.0
        group_inputs["rate_max_ratio"] = _UNLIMITED
        for table, records in (
            ("parameters", plant),
            ("group_parameters", groups),
            ("models", models),
            ("classes", classes),
            ("plant", state),
            ("groups", np.zeros(len(groups), GROUP_STATE_DTYPE)),
            ("inputs", inputs),
            ("group_inputs", group_inputs),
            ("series", np.array(row, dtype=np.uint64)),
        ):
            batch.put_member(b, table, records)

    def _draw_work_and_faults(
        self,
        b: int,
        seed: int,
        workload: Profile | None,
        trace: str | None,
        faults: FaultPlan | None,
    ) -> None:
        _, of_demand, _, of_faults, of_trace = _streams(seed)
        row = int(self._batch.series[b // LANES, b % LANES])
        local_s = self._batch.get("plant", "time_s")[b] + SECONDS_PER_HOUR * (
            self._outside.utc_offset_h(row)
        )
        start_work(
            self._feed,
            b,
            self._site,
            of_demand=of_demand,
            of_trace=of_trace,
            local_hour=float(local_s % _DAY_S) / SECONDS_PER_HOUR,
            workload=workload,
            trace=trace,
        )
        self._faults.start(b, faults, of_faults)

    def advance(self, dt_s: float = 30.0) -> None:
        """Let time pass: ``dt_s`` seconds, a multiple of 5.

        Powers read afterwards are means over the last 30 s or less, temperatures are of the end.
        """
        left = round(dt_s / SUBSTEP_S)
        if left < 1 or abs(left * SUBSTEP_S - dt_s) > 1e-9:
            raise ValueError(f"dt_s is {dt_s:g} s; a multiple of {SUBSTEP_S:g} s is needed")
        while left:
            substeps = min(left, self._feed.write(self._batch))
            if self._threads > 1:
                use_threads(self._threads)
            self._faults.before_step(self._feed.pace(self._batch), dt_s=substeps * SUBSTEP_S)
            hall.advance(self._batch, substeps=substeps, parallel=self._threads > 1)
            self._feed.advance(substeps)
            left -= substeps

    def read(self) -> Telemetry:
        """Return readings as the instruments give them; two reads of one moment are equal."""
        return self._read(is_noisy=True)

    def read_truth(self) -> Telemetry:
        """Return the same readings without noise, bias and rounding, for rewards and meters."""
        return self._read(is_noisy=False)

    def _read(self, *, is_noisy: bool) -> Telemetry:
        batch = self._batch
        read_out(
            hall.readable(batch),
            self._group_readings,
            self._plant_readings,
            self._has_lever,
            is_noisy,
        )
        groups = get_members(self._group_readings, batch.size)
        plant = get_members(self._plant_readings, batch.size)
        groups_age_s, plant_age_s = np.zeros(groups.shape[:2]), np.zeros(plant.shape)
        if is_noisy:
            self._faults.spoil(groups, plant, groups_age_s, plant_age_s)
        return Telemetry(
            time_s=self._shaped(batch.get("plant", "time_s")),
            groups=self._shaped(groups),
            plant=self._shaped(plant),
            groups_age_s=self._shaped(groups_age_s),
            plant_age_s=self._shaped(plant_age_s),
        )

    def _shaped(self, values: FloatArray) -> FloatArray:
        return values[0, ...] if self._is_single else values

    def apply(self, setpoints: Setpoints) -> Applied:
        """Command setpoints; devices refuse what is outside their range and keep what they had."""
        batch, layout = self._batch, self.layout
        shape = (batch.size, layout.group_count)
        refusals: list[str] = []

        asked = self._faults.heard(
            Setpoints(
                power_cap_w=np.reshape(setpoints.power_cap_w, shape),
                sm_clock_max_mhz=np.reshape(setpoints.sm_clock_max_mhz, shape),
                plant=np.reshape(setpoints.plant, (shape[0], len(PLANT_LEVERS))),
            )
        )
        cap_w = asked.power_cap_w
        fits = (cap_w >= layout.power_limit_min_w) & (cap_w <= layout.power_limit_max_w)
        held_w = np.where(fits, cap_w, self._faults.held_caps_w())
        self._faults.take_caps_w(held_w)
        for b, n in np.argwhere(~fits & ~np.isnan(cap_w))[:_REFUSALS_LISTED]:
            refusals.append(
                f"power cap {cap_w[b, n]:g} W for {self._name(b)}{layout.group_names[n]} is "
                f"outside {layout.power_limit_min_w[n]:g} to {layout.power_limit_max_w[n]:g} W "
                "(limits of the device)"
            )
        clock_mhz = asked.sm_clock_max_mhz
        top_mhz = layout.sm_clock_max_mhz
        fits = (clock_mhz > 0.0) & (clock_mhz <= top_mhz)
        held_ratio = batch.get("group_inputs", "clock_max_ratio")
        held_ratio = np.where(fits, clock_mhz / top_mhz, held_ratio)
        batch.set("group_inputs", "clock_max_ratio", held_ratio)
        for b, n in np.argwhere(~fits & ~np.isnan(clock_mhz))[:_REFUSALS_LISTED]:
            refusals.append(
                f"clock {clock_mhz[b, n]:g} MHz for {self._name(b)}{layout.group_names[n]} is "
                f"outside 0 to {top_mhz[n]:g} MHz (limits of the device)"
            )

        in_force = np.full((shape[0], len(PLANT_LEVERS)), np.nan)
        for k, lever in enumerate(PLANT_LEVERS):
            value = asked.plant[:, k]
            fits = (value >= lever.low) & (value <= lever.high) & self._can_take[k]
            for b in np.flatnonzero(~fits & ~np.isnan(value))[:_REFUSALS_LISTED]:
                why = (
                    f"is outside {lever.low:g} to {lever.high:g} {lever.unit} (range of the lever)"
                    if self._can_take[k]
                    else f"is refused: {layout.name} has no such lever (site file)"
                )
                refusals.append(f"{lever.name} {value[b]:g} of {self._name(b)}plant {why}")
            if self._can_take[k]:
                held = np.where(fits, value, batch.get("inputs", _LEVER_INPUTS[k]))
                batch.set("inputs", _LEVER_INPUTS[k], held)
                in_force[:, k] = held
        known = self._faults.heard(
            Setpoints(power_cap_w=held_w, sm_clock_max_mhz=held_ratio * top_mhz, plant=in_force)
        )
        return Applied(
            setpoints=Setpoints(
                power_cap_w=self._shaped(known.power_cap_w),
                sm_clock_max_mhz=self._shaped(known.sm_clock_max_mhz),
                plant=self._shaped(known.plant),
            ),
            refusals=tuple(refusals),
        )

    def _name(self, b: int) -> str:
        return "" if self._is_single else f"member {b} "

    def set_available(
        self,
        *,
        crah: float | ArrayLike | None = None,
        chiller: float | ArrayLike | None = None,
        tower: float | ArrayLike | None = None,
        pump: float | ArrayLike | None = None,
        cdu: float | ArrayLike | None = None,
    ) -> None:
        """Set which share of a kind of device is fit to run, 0 to 1; None leaves it alone.

        Faults of a plan come on top of it.

        Raises:
            ValueError: If a share is outside 0 to 1.
        """
        shares = dict(zip(_AVAILABILITIES, (crah, chiller, tower, pump, cdu), strict=True))
        for name, share in shares.items():
            if share is None:
                continue
            values = np.asarray(share, dtype=np.float64)
            if not np.all((values >= 0.0) & (values <= 1.0)):
                raise ValueError(f"available share of {name} is {share}; 0 to 1 is allowed")
            self._faults.allow(f"{name}_available_ratio", values)
            self._batch.set("inputs", f"{name}_available_ratio", values)

    def totals(self) -> Totals:
        """Return exact sums since the last reset."""
        return totals_of(
            self._batch,
            gpu_count=self.layout.gpu_count,
            heat_at_reset_j=self._heat_at_reset_j,
            is_single=self._is_single,
        )

    def copy_from(self, other: "SimulatedPlant", *, source: int = 0, target: int = 0) -> None:
        """Make plant ``target`` a copy of plant ``source`` of ``other``, its future included.

        Both must be of the same site; from here on equal setpoints give equal trajectories.
        """
        if other._site is not self._site:
            raise ValueError(f"{self.layout.name} cannot copy a plant of another site object")
        name = other._outside.name(int(other._batch.series[source // LANES, source % LANES]))
        self._batch.copy_row(target, other._batch, source)
        self._batch.put_member(target, "series", np.array(self._outside.row(name), dtype=np.uint64))
        self._batch.fill_padding()
        self._feed.copy_member(target, other._feed, source)
        self._faults.copy_member(target, other._faults, source)
        self._heat_at_reset_j[target] = other._heat_at_reset_j[source]
