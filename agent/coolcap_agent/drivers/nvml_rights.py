"""Whether this process may set power limits, and what it lacks if not."""

import os
from pathlib import Path
from typing import Final

CAP_SYS_ADMIN: Final = 21
"""Bit of the capability, see capabilities(7)."""
DEVICE_NODE: Final = Path("/dev/nvidiactl")
STATUS: Final = Path("/proc/self/status")


def missing_right(*, status: Path = STATUS, device_node: Path = DEVICE_NODE) -> str:
    """Say which right to set power limits this process lacks, empty if it has them.

    NVML demands an administrator: in containers one fails for lack of CAP_SYS_ADMIN, or because
    the user namespace shows the device node as owned by somebody else than root.

    Args:
        status: Where the kernel tells the process' capabilities.
        device_node: NVIDIA's control device.
    """
    effective = _effective_capabilities(status)
    if effective is not None and not effective >> CAP_SYS_ADMIN & 1:
        return (
            f"setting power limits needs CAP_SYS_ADMIN, which this process (uid {os.geteuid()}, "
            f"CapEff {effective:016x}) lacks; {how_to_get_rights()}"
        )
    try:
        owner = device_node.stat().st_uid
    except OSError:
        return ""  # a library that needs no device node, for example a simulated one
    if owner != 0:
        return (
            f"setting power limits needs {device_node} to belong to root, but it belongs to uid "
            f"{owner} as seen here (user namespace of the container?); run the agent on the host"
        )
    return ""


def how_to_get_rights() -> str:
    """Return what to do to be allowed to set power limits."""
    return "run the agent as root, in a container with --cap-add=SYS_ADMIN"


def _effective_capabilities(status: Path) -> int | None:
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("CapEff:")]
    return int(found[0], 16) if found else None
