"""Exceptions a caller would act on differently.

::

    CoolcapError
    ├── ConfigError      a file is unusable: mend the file; the message lists every problem
    ├── BundleError      a policy bundle does not fit this software: retrain or pick another
    └── TelemetryError   readings are unusable: fall back, do not act on them
"""

from collections.abc import Sequence


class CoolcapError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(CoolcapError):
    """A configuration or site file is unusable; ``problems`` holds every fault found."""

    def __init__(self, origin: str, problems: Sequence[str]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        super().__init__(f"{origin}: " + "; ".join(problems))


class BundleError(CoolcapError):
    """A policy bundle cannot be used with this software."""


class TelemetryError(CoolcapError):
    """Telemetry cannot be acted on."""
