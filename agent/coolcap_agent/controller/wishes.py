"""What people asked for that outlives a restart: overrides, canary, switchback. On disk."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

from coolcap_agent.controller.overrides import Override
from coolcap_agent.controller.switchback import Plan
from coolcap_agent.durable import write_durably
from coolcap_envs.contract.errors import CoolcapError

FORMAT: Final = 1


class WishesError(CoolcapError):
    """The file of wishes cannot be read or written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What people asked for.

    Attributes:
        canary_ratio: Share of the groups the policy decides about, 0 to 1.
        overrides: Values people took in hand, by subject.
        switchback: The plan of turns; None: the policy decides all the time.
    """

    canary_ratio: float = 1.0
    overrides: tuple[Override, ...] = ()
    switchback: Plan | None = None

    def with_override(self, override: Override) -> "Wishes":
        """Return the wishes with one override more, in the place of an earlier one."""
        rest = tuple(o for o in self.overrides if o.subject != override.subject)
        return replace(self, overrides=tuple(sorted((*rest, override), key=lambda o: o.subject)))

    def without_override(self, subject: str) -> "Wishes":
        """Return the wishes without the override of ``subject``."""
        return replace(self, overrides=tuple(o for o in self.overrides if o.subject != subject))

    def at(self, time_s: float) -> "Wishes":
        """Return the wishes without what has ended by ``time_s``."""
        left = tuple(o for o in self.overrides if time_s < o.end_time_s)
        return self if len(left) == len(self.overrides) else replace(self, overrides=left)


class WishesFile:
    """Keeps the wishes on disk.

    Args:
        path: The file; None: in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def load(self) -> Wishes:
        """Return what is on disk, nothing special if there is no file.

        Raises:
            WishesError: If the file is not one that was written here.
        """
        if self._path is None:
            return Wishes()
        try:
            return _decode(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return Wishes()
        except OSError as error:
            raise WishesError(f"{self._path} cannot be read: {error.strerror}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise WishesError(
                f"{self._path} is damaged ({error!r}): overrides, canary and switchback are not "
                "known; look into audit.jsonl beside it, remove the file, and ask for them again"
            ) from error

    def save(self, wishes: Wishes) -> None:
        """Put the wishes on disk before they take effect. Raises WishesError."""
        if self._path is None:
            return
        try:
            write_durably(self._path, json.dumps(_encode(wishes), indent=1).encode() + b"\n")
        except OSError as error:
            raise WishesError(f"{self._path} cannot be written: {error.strerror}") from error


def _encode(wishes: Wishes) -> dict[str, Any]:
    return {"format": FORMAT, **asdict(wishes)}


def _decode(data: dict[str, Any]) -> Wishes:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r} is not {FORMAT}")
    overrides: Iterable[dict[str, Any]] = data["overrides"]
    plan = data["switchback"]
    wishes = Wishes(
        canary_ratio=float(data["canary_ratio"]),
        overrides=tuple(Override(**override) for override in overrides),
        switchback=None if plan is None else Plan(**plan),
    )
    numbers = (wishes.canary_ratio, *(o.value for o in wishes.overrides))
    if not all(isfinite(number) for number in numbers) or not 0.0 <= wishes.canary_ratio <= 1.0:
        raise ValueError("a number is not finite or the canary's share not in 0 to 1")
    return wishes
