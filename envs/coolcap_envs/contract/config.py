"""Reading TOML tables so that every problem is reported at once, with its file and key."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import cast

from coolcap_envs.contract.errors import ConfigError


class Table:
    """One TOML table being read; collects problems instead of stopping at the first.

    Every ``take`` consumes a key; :meth:`finish` reports the keys nobody took.
    """

    def __init__(self, data: Mapping[str, object], *, path: str, problems: list[str]) -> None:
        self._rest = dict(data)
        self._path = path
        self.problems = problems

    @property
    def path(self) -> str:
        """Return the dotted name of the table in its file."""
        return self._path

    def _key(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def complain(self, key: str, text: str) -> None:
        """Record a problem of ``key``."""
        self.problems.append(f"{self._key(key)} {text}")

    def has(self, key: str) -> bool:
        """Return whether ``key`` stands in the file and was not taken yet."""
        return key in self._rest

    def take(self, key: str) -> object:
        """Take whatever stands there, None if nothing does; the caller checks it."""
        return self._rest.pop(key, None)

    def take_float(
        self, key: str, *, low: float, high: float, unit: str, default: float | None = None
    ) -> float:
        """Take a number within ``low`` to ``high`` (inclusive); NaN after a problem."""
        value = self._rest.pop(key, default)
        if value is None:
            self.complain(key, f"is missing: a number from {low:g} to {high:g} {unit} is needed")
            return float("nan")
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.complain(key, f"= {value!r} is not a number from {low:g} to {high:g} {unit}")
            return float("nan")
        if not low <= value <= high:
            self.complain(key, f"= {value:g} {unit} is outside {low:g} to {high:g} {unit}")
        return float(value)

    def take_int(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        """Take a whole number within ``low`` to ``high`` (inclusive); ``low`` after a problem."""
        value = self._rest.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            said = "is missing:" if value is None else f"= {value!r} is not allowed:"
            self.complain(key, f"{said} a whole number from {low} to {high} is needed")
            return low
        return value

    def take_str(
        self, key: str, *, allowed: tuple[str, ...] = (), default: str | None = None
    ) -> str:
        """Take a text, one of ``allowed`` if that is not empty; empty after a problem."""
        value = self._rest.pop(key, default)
        wanted = f"one of {', '.join(allowed)} is needed" if allowed else "a text is needed"
        if not isinstance(value, str) or (allowed and value not in allowed):
            said = "is missing:" if value is None else f"= {value!r} is not allowed:"
            self.complain(key, f"{said} {wanted}")
            return ""
        return value

    def take_source(self) -> str:
        """Take ``source``, where a number is from: a text that says something."""
        said = self._rest.get("source")
        source = self.take_str("source")
        if isinstance(said, str) and not said.strip():
            self.complain("source", "says nothing: where the number is from is needed")
        return source

    def take_bool(self, key: str, *, default: bool) -> bool:
        """Take true or false."""
        value = self._rest.pop(key, default)
        if not isinstance(value, bool):
            self.complain(key, f"= {value!r} is not allowed: true or false is needed")
            return default
        return value

    def take_strs(self, key: str, *, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Take a list of texts."""
        value = self._rest.pop(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            said = "is missing:" if value is None else f"= {value!r} is not allowed:"
            self.complain(key, f"{said} a list of texts is needed")
            return ()
        return tuple(cast("list[str]", value))

    def take_table(self, key: str, *, needed: bool = True) -> "Table":
        """Take a sub-table; an empty one when it is absent."""
        value = self._rest.pop(key, None)
        if value is None and needed:
            self.problems.append(f"[{self._key(key)}] is missing")
        elif value is not None and not isinstance(value, dict):
            self.complain(key, "must be a table")
            value = None
        data = cast("dict[str, object]", value or {})
        return Table(data, path=self._key(key), problems=self.problems)

    def take_tables(self, key: str, *, needed: bool = True) -> list["Table"]:
        """Take an array of tables ``[[key]]``."""
        value = self._rest.pop(key, None)
        if value is None:
            if needed:
                self.problems.append(f"[[{self._key(key)}]] is missing: at least one is needed")
            return []
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            self.complain(key, "must be an array of tables")
            return []
        return [
            Table(item, path=f"{self._key(key)}[{i}]", problems=self.problems)
            for i, item in enumerate(cast("list[dict[str, object]]", value))
        ]

    def keys(self) -> tuple[str, ...]:
        """Return the keys not taken yet."""
        return tuple(self._rest)

    def finish(self) -> None:
        """Report every key that was not taken as unknown."""
        self.problems += [f"unknown key {self._key(key)!r}" for key in self._rest]


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file.

    Raises:
        ConfigError: If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"cannot be read: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(path), [f"is not valid TOML: {error}"]) from error


def shipped_sites() -> tuple[str, ...]:
    """Return the names of the sites that come with the package."""
    folder = resources.files("coolcap_envs") / "sites"
    return tuple(
        sorted(f.name[: -len(".toml")] for f in folder.iterdir() if f.name[-5:] == ".toml")
    )


def site_path(site: str) -> Path:
    """Return the file of ``site``: a shipped site's name, or a path ending in ``.toml``.

    Raises:
        ConfigError: If there is no such site; the message lists the shipped ones.
    """
    if site.endswith(".toml"):
        return Path(site)
    if site not in shipped_sites():
        known = ", ".join(shipped_sites())
        raise ConfigError(site, [f"is no shipped site ({known}) and no path ending in .toml"])
    return Path(str(resources.files("coolcap_envs") / "sites" / f"{site}.toml"))
