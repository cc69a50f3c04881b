"""Moves lines that are on disk to a server: files of line protocol, spools, and what was refused.

What is sent twice is stored once, so a replay may be broken off and begun again at any time. Lines
leave a spool when the server has them; files stay as they are.
"""

import gzip
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coolcap_agent.sink.delivery import Delivery
from coolcap_agent.sink.influx import BACK_OFF_FIRST_S, BACK_OFF_MAX_S, LINES_PER_REQUEST, Post
from coolcap_agent.sink.refusals import measurements_in
from coolcap_agent.sink.spool import Batch, Spool
from coolcap_envs.contract.errors import CoolcapError

PATIENCE_S: Final = 60.0
"""Longest time without any progress, host time."""
_SQLITE: Final = b"SQLite format 3\x00"
_GZIP: Final = b"\x1f\x8b"


class ReplayError(CoolcapError):
    """A replay came to no end; what was sent is stored, and it may be begun again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay did.

    Attributes:
        sent: Lines the server took.
        refused: Lines it will never take.
        torn: Files whose last line had no end: a writer was interrupted there.
        problem: Which measurements were refused, why and what to do; empty if none were.
    """

    sent: int
    refused: int
    torn: tuple[str, ...]
    problem: str


class _Source:
    """Stands where a delivery has its spool: nothing is removed, refused lines are kept in mind."""

    def __init__(self) -> None:
        self.refused: list[tuple[bytes, str]] = []

    def remove(self, batches: Sequence[Batch]) -> None:
        """Leave the file as it is."""

    def refuse(self, lines: Sequence[bytes], *, reason: str) -> None:
        """Keep refused lines in mind."""
        self.refused += [(line, reason) for line in lines]


def is_spool(path: Path) -> bool:
    """Return whether a file is a spool; raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def read_batches(path: Path, torn: list[str]) -> Iterator[bytes]:
    """Give the lines of a file in batches; a last line without its end is left out.

    Args:
        path: Line protocol, plain or gzipped.
        torn: Takes the path if its last line has no end.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        lines: list[bytes] = []
        for line in file:
            if not line.endswith(b"\n"):
                torn.append(str(path))
            elif line.strip() and not line.startswith(b"#"):
                lines.append(line)
            if len(lines) >= LINES_PER_REQUEST:
                yield b"".join(lines)
                lines = []
        if lines:
            yield b"".join(lines)


def replay(
    paths: Iterable[Path],
    post: Post,
    *,
    refused_again: bool = False,
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], None] = time.sleep,
    mono_s: Callable[[], float] = time.monotonic,
) -> Replayed:
    """Send what is in files and spools.

    Args:
        paths: Files and spools, in order.
        post: From ``influx_post``.
        refused_again: Send what spools have kept aside as refused instead of what waits in them.
        patience_s: Longest time without progress.
        sleep: Waits; injected by tests.
        mono_s: The host's monotonic clock.

    Raises:
        ReplayError: If the server takes nothing for ``patience_s``, or a file cannot be read.
        SpoolError: If a spool cannot be used.
    """
    torn: list[str] = []
    sent = refused = 0
    problems: list[str] = []
    for path in paths:
        source = _Source()
        delivery = Delivery(post, source)

        def deliver(
            batches: Sequence[Batch], path: Path = path, delivery: Delivery = delivery
        ) -> None:
            _insist(delivery, batches, path=path, patience_s=patience_s, sleep=sleep, mono_s=mono_s)

        try:
            if is_spool(path):
                _move_spool(path, deliver, source, refused_again=refused_again)
            elif not refused_again:
                for body in read_batches(path, torn):
                    deliver([Batch(id=0, line_count=body.count(b"\n"), body=body)])
        except (OSError, EOFError) as error:
            raise ReplayError(f"{path} cannot be read: {error}") from error
        sent += delivery.written
        refused += delivery.refusals.count
        if delivery.refusals.problem:
            problems.append(f"{path}: {delivery.refusals.problem}")
    return Replayed(sent=sent, refused=refused, torn=tuple(torn), problem="; ".join(problems))


def _insist(
    delivery: Delivery,
    batches: Sequence[Batch],
    *,
    path: Path,
    patience_s: float,
    sleep: Callable[[float], None],
    mono_s: Callable[[], float],
) -> None:
    """Send until it is taken. Raises ReplayError when that takes too long."""
    begun_s, wait_s = mono_s(), 0.0
    while (wanted_s := delivery.send(batches)) is not None:
        if mono_s() - begun_s >= patience_s:
            lines = [line for batch in batches for line in batch.body.splitlines()]
            raise ReplayError(
                f"{path}: the server takes nothing since {patience_s:g} s: {delivery.problem}; "
                f"stopped before lines of {measurements_in(lines)}; run it again when it does"
            )
        wait_s = min(max(2.0 * wait_s, BACK_OFF_FIRST_S), BACK_OFF_MAX_S)
        sleep(max(wanted_s, wait_s))


def _move_spool(
    path: Path,
    deliver: Callable[[Sequence[Batch]], None],
    source: _Source,
    *,
    refused_again: bool,
) -> None:
    spool = Spool(path, bytes_max=10**15, disk_free_min=0)
    try:
        if refused_again:
            lines = dict.fromkeys(line.encode() for _, line in spool.refused())
            if lines:
                body = b"".join(line + b"\n" for line in lines)
                deliver([Batch(id=0, line_count=len(lines), body=body)])
            kept = {line.rstrip(b"\n") for line, _ in source.refused}
            spool.forget_refused([line for line in lines if line not in kept])
            return
        while batches := spool.take(newest=False, line_count_max=LINES_PER_REQUEST):
            deliver(batches)
            if source.refused:
                for line, reason in source.refused:
                    spool.refuse([line], reason=reason)
                source.refused.clear()
            spool.remove(batches)
    finally:
        spool.close()
