"""Telling systemd how the process is (sd_notify): ready, alive, stopping.

The protocol is one datagram with ``KEY=value`` lines to the socket in ``NOTIFY_SOCKET``, see
sd_notify(3). Outside systemd nothing happens.
"""

import os
import socket


def notify(state: str) -> None:
    """Send ``state``, for example ``READY=1``. A service manager that is gone is no fault."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            return


def watchdog_period_s() -> float | None:
    """Return how often a sign of life is due: half of what systemd allows; None if it asks none."""
    limit_us = os.environ.get("WATCHDOG_USEC", "")
    wanted = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(limit_us) / 2e6 if limit_us.isdecimal() and wanted else None
