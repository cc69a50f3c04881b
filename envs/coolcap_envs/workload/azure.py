"""Requests of an LLM service, in the format of the Azure LLM inference traces.

One row per request: ``TIMESTAMP,ContextTokens,GeneratedTokens`` (Azure Public Dataset, CC-BY-4.0;
Patel et al., "Splitwise", ISCA 2024). Reading a prompt is prefill, generating is decode.
"""

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.contract.telemetry import FloatArray
from coolcap_envs.weather import listed
from coolcap_envs.workload.demand import DEMAND_STEP_S

_COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_TOKENS_MAX: Final = 10_000_000
_STEPS_MIN: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Requests:
    """Requests in order of time; arrays have one entry each.

    Attributes:
        name: Where they are from.
        time_s: Arrival after the first one.
        context_tokens: Length of the prompt.
        generated_tokens: Length of the answer.
    """

    name: str
    time_s: FloatArray
    context_tokens: FloatArray
    generated_tokens: FloatArray

    def per_step(self, tokens: FloatArray) -> FloatArray:
        """Return the tokens of each whole demand step, relative to their mean."""
        steps = int(self.time_s[-1] // DEMAND_STEP_S)
        at = (self.time_s // DEMAND_STEP_S).astype(np.int64)
        sums = np.bincount(at, weights=tokens, minlength=steps)[:steps]
        relative: FloatArray = sums / sums.mean()
        return relative


def read_requests(path: Path) -> Requests:
    """Read a trace of requests.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    if absent := [name for name in _COLUMNS if name not in header]:
        raise ConfigError(str(path), [f"row 1 has no column {', '.join(map(repr, absent))}"])
    columns = [header.index(name) for name in _COLUMNS]
    unreadable: list[int] = []
    numbers: list[int] = []
    found: list[tuple[float, float, float]] = []
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        try:
            when, context, generated = (row[k] for k in columns)
            found.append((_seconds(when), float(int(context)), float(int(generated))))
        except (IndexError, ValueError):
            unreadable.append(number)
            continue
        numbers.append(number)
    problems: list[str] = []
    if unreadable:
        problems.append(f"time or tokens are missing or no numbers in {listed(unreadable)}")
    table = np.array(found, dtype=np.float64).reshape(-1, 3)
    row_of = np.array(numbers, dtype=np.int64)
    backward = row_of[1:][np.diff(table[:, 0]) < 0.0]
    if len(backward):
        problems.append(f"time goes back in {listed(backward.tolist())}")
    for k, name in ((1, "ContextTokens"), (2, "GeneratedTokens")):
        bad = row_of[~((table[:, k] >= 0.0) & (table[:, k] <= _TOKENS_MAX))]
        if len(bad):
            problems.append(f"{name} is outside 0 to {_TOKENS_MAX} in {listed(bad.tolist())}")
        elif len(table) and not table[:, k].sum() > 0.0:
            problems.append(f"{name} is 0 in every row")
    span_s = float(table[-1, 0] - table[0, 0]) if len(table) else 0.0
    if not backward.size and span_s < _STEPS_MIN * DEMAND_STEP_S:
        problems.append(f"spans {span_s:g} s; at least {_STEPS_MIN * DEMAND_STEP_S:g} s are needed")
    if problems:
        raise ConfigError(str(path), problems)
    return Requests(
        name=str(path),
        time_s=table[:, 0] - table[0, 0],
        context_tokens=table[:, 1].copy(),
        generated_tokens=table[:, 2].copy(),
    )


def _seconds(text: str) -> float:
    """Return an instant; stamps have seven digits after the point, one more than Python reads."""
    whole, _, part = text.strip().partition(".")
    stamp = dt.datetime.fromisoformat(whole).replace(tzinfo=dt.UTC)
    return stamp.timestamp() + (float(f"0.{part}") if part else 0.0)
