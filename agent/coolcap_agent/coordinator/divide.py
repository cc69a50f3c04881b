"""Dividing a site's budget among halls: floors first, then what they want, then what is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one hall needs, wants and could take.

    Attributes:
        floor_w: Never less than this.
        wanted_w: What it would use now, >= ``floor_w``.
        ceiling_w: Never more than this: its own supply, >= ``wanted_w``.
        priority: Higher gets what it wants first.
    """

    floor_w: float
    wanted_w: float
    ceiling_w: float
    priority: int


def divide(budget_w: float, claims: Sequence[Claim]) -> list[float]:
    """Return each hall's share of ``budget_w``.

    The shares add up to at most the budget if the floors do. What all halls want comes first, by
    priority; what is left is headroom, spread alike up to each one's ceiling.
    """
    shares = [claim.floor_w for claim in claims]
    left_w = budget_w - sum(shares)
    order = sorted(range(len(claims)), key=lambda i: -claims[i].priority)
    for _, members in groupby(order, key=lambda i: claims[i].priority):
        left_w = _fill(shares, list(members), [c.wanted_w for c in claims], left_w)
    _fill(shares, order, [c.ceiling_w for c in claims], left_w)
    return shares


def _fill(
    shares: list[float], members: Sequence[int], targets: Sequence[float], left_w: float
) -> float:
    """Raise the shares of ``members`` towards their targets by equal amounts; return what is left.

    Those closest to their target are filled first, so that one pass is enough.
    """
    open_ = sorted(members, key=lambda i: targets[i] - shares[i])
    for place, i in enumerate(open_):
        each_w = max(left_w, 0.0) / (len(open_) - place)
        step_w = max(0.0, min(each_w, targets[i] - shares[i]))
        shares[i] += step_w
        left_w -= step_w
    return left_w
