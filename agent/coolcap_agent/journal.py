"""What was in force before the first write, on disk, so that it can always be put back.

An entry is made before the first write to its lever and never changed afterwards: what the
journal holds came before us, what the device holds later may be our own. The file is replaced as
a whole and checksummed; it disappears when every entry was restored and read back.
"""

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias, cast

from coolcap_agent.durable import remove_durably, sync_folder, write_durably
from coolcap_envs.contract.errors import CoolcapError

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the file; another one is treated as damaged."""

Key: TypeAlias = tuple[str, str]
"""Device and lever; the device is empty where the lever alone names it."""


def device_of(key: Key) -> str:
    """Return what people call the device of a key: its lever where the lever names it."""
    return key[0] or key[1]


def name_of(key: Key) -> str:
    """Return a key in words; its first word is the device, as fault logs want it."""
    return " ".join(part for part in key if part)


class JournalError(CoolcapError):
    """The journal cannot be written: nothing may be written to a device that is not in it."""


class JournalDamaged(CoolcapError):  # noqa: N818 - reads as the event it reports
    """A journal existed and cannot be used; it was put aside. The message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was in force on one lever before the first write.

    ``value`` is None if it could not be told; ``local`` is true if the device's own control decided
    it, which then has to be given the lever back.
    """

    device: str
    lever: str
    value: float | None
    local: bool = False

    @property
    def key(self) -> Key:
        """Return device and lever."""
        return self.device, self.lever


class Journal:
    """The journal of one agent. Methods that write block on the disk; call them in one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[Key, Entry] = {}

    @property
    def entries(self) -> Mapping[Key, Entry]:
        """Return the entries as they are on disk."""
        return self._entries

    def load(self) -> None:
        """Read what an earlier process left, if anything.

        Raises:
            JournalDamaged: If it is unusable; it was put aside and the journal is empty now.
            JournalError: If it cannot be read or put aside.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"journal {self._path} cannot be read: {error}") from error
        try:
            self._entries = {entry.key: entry for entry in decode(content)}
        except (KeyError, TypeError, ValueError) as error:
            raise JournalDamaged(
                f"journal {self._path} is damaged ({error}) and was kept as {self._put_aside()}"
            ) from error

    def add(self, entries: Iterable[Entry]) -> None:
        """Add the entries whose key is not there yet; on disk when this returns.

        Raises:
            JournalError: If the disk refuses; nothing was added.
        """
        new = {entry.key: entry for entry in entries if entry.key not in self._entries}
        if new:
            self._replace({**self._entries, **new})

    def remove(self, keys: Iterable[Key]) -> None:
        """Remove entries that were restored; the last one takes the file with it.

        Raises:
            JournalError: If the disk refuses; nothing was removed.
        """
        gone = set(keys)
        rest = {key: entry for key, entry in self._entries.items() if key not in gone}
        if len(rest) < len(self._entries):
            self._replace(rest)

    def _replace(self, entries: dict[Key, Entry]) -> None:
        try:
            if entries:
                write_durably(self._path, encode(entries.values()))
            else:
                remove_durably(self._path)
        except OSError as error:
            raise JournalError(f"journal {self._path} cannot be written: {error}") from error
        self._entries = entries

    def _put_aside(self) -> Path:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self._path.with_name(f"{self._path.name}.damaged-{stamp}-{os.getpid()}")
        try:
            os.replace(self._path, aside)
            sync_folder(self._path.parent)
        except OSError as error:
            raise JournalError(f"journal {self._path} cannot be put aside: {error}") from error
        return aside


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the content of a journal file."""
    body = {"format": FORMAT, "entries": [asdict(entry) for entry in entries]}
    return json.dumps({**body, "sha256": _digest(body)}, indent=1).encode() + b"\n"


def decode(content: bytes) -> list[Entry]:
    """Return the entries of a journal file.

    Raises:
        ValueError: If it is not one, or not as it was written.
    """
    data: object = json.loads(content)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    body = cast("dict[str, object]", data)
    digest = body.pop("sha256", None)
    if body.get("format") != FORMAT:
        raise ValueError(f"format {body.get('format')!r} is not {FORMAT}")
    if digest != _digest(body):
        raise ValueError("checksum does not match")
    return [_entry(item) for item in cast("list[dict[str, object]]", body["entries"])]


def _entry(item: Mapping[str, object]) -> Entry:
    value = item["value"]
    if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
        raise ValueError(f"value {value!r} is not a finite number")
    return Entry(
        device=str(item["device"]),
        lever=str(item["lever"]),
        value=None if value is None else float(value),
        local=item["local"] is True,
    )


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
