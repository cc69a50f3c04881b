"""The version of the installed software, as capabilities report it."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def agent_version() -> str:
    """Return the version of the installed package, ``unknown`` if it runs from bare sources."""
    try:
        return version("coolcap")
    except PackageNotFoundError:
        return "unknown"
