"""What a check found: a number, what it is held against, and where both come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coolcap_envs.contract.telemetry import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding.

    Attributes:
        name: What was checked, unique.
        source: Whose numbers the plant is held against.
        metric: What ``value`` is, with its unit.
        value: What was found; None if the check was not run.
        target: The bound; None if the number is only reported.
        is_upper: Whether ``target`` bounds ``value`` from above.
        rows: Points that ``value`` was computed from, none of which the model was fitted to.
        note: What one must know to read the number; the reason if the check was not run.
    """

    name: str
    source: str
    metric: str
    value: float | None
    target: float | None
    is_upper: bool = True
    rows: int = 0
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Return whether the target is met; None without a target or a value."""
        if self.value is None or self.target is None:
            return None
        return self.value <= self.target if self.is_upper else self.value >= self.target

    @property
    def status(self) -> str:
        """Return ``met``, ``missed``, ``reported`` or ``not run``."""
        if self.value is None:
            return "not run"
        return {True: "met", False: "missed", None: "reported"}[self.passed]


def not_run(name: str, *, source: str, metric: str, reason: str) -> Check:
    """Return a check that could not be run."""
    return Check(name=name, source=source, metric=metric, value=None, target=None, note=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomRow:
    """What one way of cooling used in one climate, and what the static optimum saves over it.

    Attributes:
        site: Name of the site.
        climate: Name of the weather year.
        controller: ``B0`` to ``B3``, or ``B4`` for the enumerated optimum itself.
        pue: Facility energy over IT energy.
        cooling_kwh: Energy of fans, pumps, chiller and tower.
        facility_kwh: Energy at the facility's meter.
        inlet_mean_c: Mean of the hottest inlet.
        inlet_max_c: Highest of it.
        saves_cooling_ratio: What the optimum saves of this row's cooling energy.
        saves_facility_ratio: The same of its facility energy.
        loss_share: Losses of power distribution over IT energy.
    """

    site: str
    climate: str
    controller: str
    pue: float
    cooling_kwh: float
    facility_kwh: float
    inlet_mean_c: float
    inlet_max_c: float
    saves_cooling_ratio: float
    saves_facility_ratio: float
    loss_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a group of checks brings: checks, rows of the study, and series to plot."""

    checks: Sequence[Check]
    headroom: Sequence[HeadroomRow] = ()
    series: Mapping[str, FloatArray] = field(default_factory=dict[str, FloatArray])


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """All findings.

    Attributes:
        checks: In the order of the report.
        headroom: The study of what cooling can save at all.
        series: Points behind the plots, by name; of sources that may be reprinted only.
    """

    checks: tuple[Check, ...]
    headroom: tuple[HeadroomRow, ...]
    series: Mapping[str, FloatArray]

    @property
    def missed(self) -> tuple[Check, ...]:
        """Return the checks whose target is not met."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def not_run(self) -> tuple[Check, ...]:
        """Return the checks that could not be run."""
        return tuple(check for check in self.checks if check.value is None)

    def exit_code(self, *, require_data: bool) -> int:
        """Return 1 if a target is missed, 3 if a check that is required was not run, else 0."""
        if self.missed:
            return 1
        return 3 if require_data and self.not_run else 0
