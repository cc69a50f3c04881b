"""A randomised switchback: policy and feedback rule take turns, so that savings can be measured.

Blocks of equal length come in pairs. One block of each pair is the policy's, one the rule's, in an
order drawn from the seed: whoever knows the plan knows every turn, so that it outlives restarts and
can be checked afterwards. The begin of each block, while the hall still remembers the one before,
is washout and is left out of reports.

Method: randomised switchback with carry-over samples dropped; see docs/how-to/measure-savings.md.
"""

import random
from dataclasses import dataclass
from enum import StrEnum
from math import floor
from typing import Final

from coolcap_envs.contract.errors import CoolcapError

PAIR_COUNT_MAX: Final = 10_000
BLOCK_MIN_S: Final = 600.0
"""Below, a hall's air and water never settle (time constants of 10 to 30 min)."""


class SwitchbackError(CoolcapError):
    """A plan that cannot be measured."""


class Arm(StrEnum):
    """Who decides."""

    POLICY = "policy"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One block as seen at an instant."""

    block: int
    arm: Arm
    washing_out: bool

    @property
    def pair(self) -> int:
        """Return the number of the block's pair."""
        return self.block // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who decides when.

    Attributes:
        start_time_s: Begin of the first block, site time.
        block_s: Length of a block.
        washout_s: Begin of each block that reports leave out.
        pair_count: Pairs of blocks.
        seed: What the order within the pairs is drawn from.
    """

    start_time_s: float
    block_s: float
    washout_s: float
    pair_count: int
    seed: int

    @property
    def end_time_s(self) -> float:
        """Return the end of the last block, exclusive."""
        return self.start_time_s + 2 * self.pair_count * self.block_s

    def check(self) -> None:
        """Raise SwitchbackError for a plan that cannot be measured."""
        if not self.block_s >= BLOCK_MIN_S:
            raise SwitchbackError(
                f"blocks of {self.block_s:g} s are too short: at least {BLOCK_MIN_S:g} s, or the "
                "hall never settles; days are usual"
            )
        if not 0.0 <= self.washout_s <= 0.5 * self.block_s:
            raise SwitchbackError(
                f"a washout of {self.washout_s:g} s is outside 0 to {0.5 * self.block_s:g} s: half "
                "of each block at least must be measured"
            )
        if not 1 <= self.pair_count <= PAIR_COUNT_MAX:
            raise SwitchbackError(
                f"{self.pair_count} pairs of blocks are outside 1 to {PAIR_COUNT_MAX}"
            )

    def arms(self, pair: int) -> tuple[Arm, Arm]:
        """Return who decides in the two blocks of a pair."""
        first = random.Random(f"{self.seed}/{pair}").random() < 0.5
        return (Arm.POLICY, Arm.BASELINE) if first else (Arm.BASELINE, Arm.POLICY)

    def at(self, time_s: float) -> Turn | None:
        """Return whose turn it is, None before the first block and after the last."""
        since_s = time_s - self.start_time_s
        block = floor(since_s / self.block_s)
        if not 0 <= block < 2 * self.pair_count:
            return None
        return Turn(
            block=block,
            arm=self.arms(block // 2)[block % 2],
            washing_out=since_s - block * self.block_s < self.washout_s,
        )


def next_start_s(now_s: float, *, block_s: float) -> float:
    """Return the next multiple of the block's length: blocks of days begin at midnight, UTC."""
    return (floor(now_s / block_s) + 1) * block_s
