"""Logs of the daemons: plain or JSON lines; a fault is logged as it begins and as it ends."""

import json
import logging
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from coolcap_envs.contract.config import Table

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("plain", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """How to log. Logs go to standard error."""

    level: str = "info"
    format: str = "plain"


def read_log_config(table: Table) -> LogConfig:
    """Read ``[log]``; problems are collected in ``table.problems``."""
    config = LogConfig(
        level=table.take_str("level", allowed=LEVELS, default="info"),
        format=table.take_str("format", allowed=FORMATS, default="plain"),
    )
    table.finish()
    return config


class JsonFormatter(logging.Formatter):
    """One JSON object per line, times in UTC.

    Lines of faults have the keys ``fault``, what is concerned, and ``phase``, ``begin`` or ``end``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key in ("fault", "phase"):
            if (value := getattr(record, key, None)) is not None:
                line[key] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logging(config: LogConfig) -> None:
    """Send all logs to standard error as configured, replacing what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    if config.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        )
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)


class FaultLog:
    """Logs a fault when it begins and when it ends, and remembers what is wrong now.

    The first word of a key names the device. Safe to use from several threads.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._open: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def present(self) -> dict[str, str]:
        """Return the faults that last, message by key."""
        with self._lock:
            return {key: text for of in self._open.values() for key, text in of.items()}

    def message(self, key: str) -> str:
        """Return what is wrong with ``key``, empty if it is well."""
        with self._lock:
            return self._open.get(_device(key), {}).get(key, "")

    def about(self, device: str) -> str:
        """Return what is wrong with a device: the messages of keys whose first word it is."""
        with self._lock:
            return "; ".join(self._open.get(device, {}).values())

    def begin(self, key: str, message: str) -> None:
        """Note that ``key`` is at fault; logged if it was not before."""
        with self._lock:
            of_device = self._open.setdefault(_device(key), {})
            known = key in of_device
            of_device[key] = message
        if not known:
            self._log.warning("%s", message, extra={"fault": key, "phase": "begin"})

    def end(self, key: str, message: str) -> None:
        """Note that ``key`` is well; logged if it was not before."""
        with self._lock:
            of_device = self._open.get(_device(key), {})
            known = of_device.pop(key, None) is not None
            if known and not of_device:
                del self._open[_device(key)]
        if known:
            self._log.info("%s", message, extra={"fault": key, "phase": "end"})


def _device(key: str) -> str:
    return key.split(" ", 1)[0]
