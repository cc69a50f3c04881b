"""Critical events of NVIDIA's driver (Xid), waited for in a thread of their own.

One set for all GPUs of the process. A GPU that offers no events is left out; so is a driver without
them, for example in a container that lacks the device node.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from coolcap_agent.drivers.base import GpuEvent
from coolcap_agent.drivers.nvml_calls import NvmlCalls

log = logging.getLogger(__name__)

XID_CRITICAL_ERROR: Final = 0x8
TIMEOUT: Final = 10
"""Values of NVML's enums; part of its ABI."""
WAIT_MS: Final = 200
"""A wait cannot be broken off, so this is how late the thread notices that it shall end."""
PAUSE_S: Final = 1.0
"""After a wait that failed: NVML says at once, again and again, that a GPU is lost."""
EVENTS_MAX: Final = 256
"""Newest events kept until they are taken."""


class NvmlEvents:
    """Collects events until ``close``.

    Args:
        calls: NVML.
        handles: NVML's handles by UUID.
    """

    def __init__(self, calls: NvmlCalls, handles: Mapping[str, Any]) -> None:
        self._nvml = calls.nvml
        self._handles = handles
        self._found: deque[GpuEvent] = deque(maxlen=EVENTS_MAX)
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        events = self._register()
        if events is not None:
            self._thread = threading.Thread(
                target=self._watch, args=(events,), name="nvml events", daemon=True
            )
            self._thread.start()

    def take(self) -> Sequence[GpuEvent]:
        """Return the events since the last call."""
        taken: list[GpuEvent] = []
        while self._found:
            taken.append(self._found.popleft())
        return taken

    def close(self) -> None:
        """Let the thread end; NVML may be shut down afterwards."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0 * WAIT_MS / 1000.0)

    def _register(self) -> Any:  # noqa: ANN401 - an opaque handle
        """Return a set that at least one GPU reports to, None if none does."""
        if not hasattr(self._nvml, "nvmlEventSetCreate"):
            return None
        try:
            events = self._nvml.nvmlEventSetCreate()
        except self._nvml.NVMLError as error:
            log.info("critical events of GPUs are not reported here: %s", error)
            return None
        registered = 0
        for uuid, handle in self._handles.items():
            try:
                self._nvml.nvmlDeviceRegisterEvents(handle, XID_CRITICAL_ERROR, events)
            except self._nvml.NVMLError as error:
                log.info("critical events of %s are not reported: %s", uuid, error)
            else:
                registered += 1
        return events if registered else None

    def _watch(self, events: Any) -> None:  # noqa: ANN401
        while not self._ends.is_set():
            try:
                data = self._nvml.nvmlEventSetWait_v2(events, WAIT_MS)
            except self._nvml.NVMLError as error:
                if error.value != TIMEOUT:
                    self._ends.wait(PAUSE_S)
                continue
            uuid = self._uuid_of(data.device)
            if uuid and data.eventType & XID_CRITICAL_ERROR:
                self._found.append(GpuEvent(uuid=uuid, xid=int(data.eventData)))

    def _uuid_of(self, device: Any) -> str:  # noqa: ANN401
        try:
            uuid = self._nvml.nvmlDeviceGetUUID(device)
        except self._nvml.NVMLError:
            # A lost GPU does not even tell its name; its handle is still the one we registered.
            return next((u for u, h in self._handles.items() if _same(h, device)), "")
        return uuid.decode() if isinstance(uuid, bytes) else str(uuid)


def _same(left: Any, right: Any) -> bool:  # noqa: ANN401
    """Return whether two handles, which are pointers, point to one place."""
    import ctypes

    try:
        return bool(
            ctypes.cast(left, ctypes.c_void_p).value == ctypes.cast(right, ctypes.c_void_p).value
        )
    except ctypes.ArgumentError:
        return False
