"""Whether this process may set power limits, what it lacks if not, and who else may set them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

CAP_SYS_ADMIN: Final = 21
"""Bit of the capability, see capabilities(7)."""
DEVICE_NODE: Final = Path("/dev/nvidiactl")
PROC: Final = Path("/proc")
STATUS: Final = PROC / "self" / "status"

FOREIGN_MANAGERS: Final[Mapping[str, str]] = {
    "nv-hostengine": "DCGM sets limits again if they were configured with `dcgmi config --enforce`",
    "nvidia-powerd": "NVIDIA's dynamic boost moves limits between CPU and GPU",
    "nvidia-pstated": "switches performance states",
    "zeusd": "sets limits and clocks for its clients",
    "geopmd": "sets limits and clocks for its clients",
    "eard": "sets limits and clocks of jobs",
}
"""Programs that may change limits or clocks, by the name the kernel shows (15 characters)."""


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
    owner = _owner(device_node)
    if owner not in (None, 0):
        return (
            f"setting power limits needs {device_node} to belong to root, but it belongs to uid "
            f"{owner} as seen here (user namespace of the container?); run the agent on the host"
        )
    return ""


def rights_report(
    *, status: Path = STATUS, device_node: Path = DEVICE_NODE, proc: Path = PROC
) -> Mapping[str, object]:
    """Return what decides about setting limits, as plain data for people and ``--json``.

    Args:
        status: Where the kernel tells the process' capabilities.
        device_node: NVIDIA's control device.
        proc: Where the kernel lists processes.
    """
    effective = _effective_capabilities(status)
    return {
        "missing": missing_right(status=status, device_node=device_node),
        "uid": os.geteuid(),
        "cap_sys_admin": None if effective is None else bool(effective >> CAP_SYS_ADMIN & 1),
        "device_node": str(device_node),
        "device_node_owner_uid": _owner(device_node),
        "foreign_managers": list(foreign_managers(proc)),
    }


def foreign_managers(proc: Path = PROC) -> Sequence[str]:
    """Return programs on this host that may set limits, too, with what they do.

    A container sees them only if it shares the host's process ids.
    """
    names: set[str] = set()
    for entry in proc.glob("[0-9]*"):
        try:
            names.add((entry / "comm").read_text(encoding="utf-8", errors="replace").strip())
        except OSError:
            continue  # it ended meanwhile, or is hidden from us
    return [f"{name}: {what}" for name, what in FOREIGN_MANAGERS.items() if name[:15] in names]


def how_to_get_rights() -> str:
    """Return what to do to be allowed to set power limits."""
    return "run the agent as root, in a container with --cap-add=SYS_ADMIN"


def _owner(device_node: Path) -> int | None:
    """Return the owner of NVIDIA's device; None where a library needs none, as a simulated one."""
    try:
        return device_node.stat().st_uid
    except OSError:
        return None


def _effective_capabilities(status: Path) -> int | None:
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("CapEff:")]
    return int(found[0], 16) if found else None
