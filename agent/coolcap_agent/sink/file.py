"""A local file of line protocol: the log of a site without a database.

Any InfluxDB takes such a file later (``influx write``, ``influx -import``), and replaying it twice
changes nothing, because the times are part of the lines.
"""

from pathlib import Path
from typing import Final

from coolcap_agent.sink.base import SinkStatus
from coolcap_agent.sink.rotating_file import RotatingFile

FILE_BYTES_MAX: Final = 256 * 1024 * 1024
FILE_KEEP_COUNT: Final = 8
"""At most 2.3 GB in all: about 20 days of a hall of 128 groups, at one record per 10 s."""


class FileSink:
    """Appends lines to a file, with rotation."""

    def __init__(
        self, path: Path, *, bytes_max: int = FILE_BYTES_MAX, keep_count: int = FILE_KEEP_COUNT
    ) -> None:
        self._file = RotatingFile(path, bytes_max=bytes_max, keep_count=keep_count)
        self._written = 0
        self._dropped = 0
        self._problem = ""

    def write(self, body: bytes) -> None:
        """Append lines; on failure they are dropped and counted."""
        count = body.count(b"\n")
        try:
            self._file.append(body)
        except OSError as error:
            self._dropped += count
            self._problem = (
                f"log {self._file.path} cannot be written: {error.strerror}; {self._dropped} lines "
                "dropped so far; make room or correct `file` in [telemetry]"
            )
            return
        self._written += count
        self._problem = ""

    def status(self) -> SinkStatus:
        """Return how the file is doing."""
        return SinkStatus(
            written=self._written, waiting=0, dropped=self._dropped, problem=self._problem
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
