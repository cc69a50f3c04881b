"""What must hold of everything the equipment followed, whatever happened."""

from dataclasses import dataclass

from support.plant_campaign.hall import DEW_POINT_C, Followed
from support.plant_campaign.rig import CDU, LEVERS, OWN_LIMITS, RATE_PER_S, STEP_SPAN_MAX_S, Rig

TOLERANCE = 1e-3
"""Values go through 32-bit floats."""
DEFAULTS = {one.lever: one.default for one in LEVERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found of one scenario."""

    change_count: int
    outside_count: int
    leap_count: int
    worst: str = ""


def judge(rig: Rig) -> Findings:
    """Look at every value the equipment followed.

    A change to the local program's value is the device's own while it restarts, is switched by
    hand or misses a heartbeat; a value that somebody else put there is theirs.
    """
    outside = leaps = 0
    worst = ""
    before: dict[str, Followed] = {}
    by_itself: set[str] = set()
    for one in rig.hall.followed:
        last = before.get(one.lever)
        before[one.lever] = one
        if _is_foreign(rig, one):
            continue
        after_itself = one.lever in by_itself
        by_itself.discard(one.lever)
        home = abs(one.value - DEFAULTS[one.lever]) < TOLERANCE
        if home and any(start_s <= one.time_s <= end_s for start_s, end_s in rig.excused):
            by_itself.add(one.lever)
            continue
        low, high = OWN_LIMITS[one.lever]
        if one.lever == CDU:
            low = max(low, DEW_POINT_C + 2.0)
        if not home and not low - TOLERANCE <= one.value <= high + TOLERANCE:
            outside += 1
            worst = f"{one.lever} {one.value:g} is outside {low:g} to {high:g}"
        start = DEFAULTS[one.lever] if last is None else last.value
        if last is not None and _is_foreign(rig, last):
            continue
        # Between two writes of ours the device may have gone its own way.
        span_s = STEP_SPAN_MAX_S
        if last is not None and not after_itself:
            span_s = min(one.time_s - last.time_s, STEP_SPAN_MAX_S)
        allowed = RATE_PER_S[one.lever] * span_s + TOLERANCE
        if abs(one.value - start) > allowed:
            leaps += 1
            worst = (
                f"{one.lever} went from {start:g} to {one.value:g}, {allowed:g} were allowed "
                f"after {span_s:.2f} s"
            )
    return Findings(
        change_count=len(rig.hall.followed),
        outside_count=outside,
        leap_count=leaps,
        worst=worst,
    )


def _is_foreign(rig: Rig, one: Followed) -> bool:
    theirs = [*rig.strangers, *(v for lever, v in rig.foreign.items() if lever == one.lever)]
    return any(abs(one.value - value) < TOLERANCE for value in theirs)
