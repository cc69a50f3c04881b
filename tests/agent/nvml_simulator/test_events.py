"""Critical events of the driver (Xid) reach those who wait for them."""

import pytest

from coolcap_agent.sim.faults import set_fault
from support.nvml_client import Gpu, Kept, NvmlClient
from support.small_hall import SmallHall

NOT_SUPPORTED, TIMEOUT, GPU_IS_LOST, UNINITIALIZED = 3, 10, 15, 1
XID = 8
NO_INSTANCE = 2**32 - 1


@pytest.fixture
def events(nvml: NvmlClient) -> Kept:
    """An event set in which both GPUs of the node are registered."""
    events = nvml.call("nvmlEventSetCreate")
    assert isinstance(events, Kept)
    for position in (0, 1):
        nvml.call("nvmlDeviceRegisterEvents", Gpu(position), XID, events)
    return events


def test_event_names_its_gpu_and_number(small: SmallHall, nvml: NvmlClient, events: Kept) -> None:
    set_fault(small.hall, "node-2/1", "xid", value=31)

    event = nvml.call("nvmlEventSetWait_v2", events, 1000)

    assert event == {
        "device": Gpu(1),
        "eventType": XID,
        "eventData": 31,
        "gpuInstanceId": NO_INSTANCE,
        "computeInstanceId": NO_INSTANCE,
    }


def test_waiting_call_returns_when_the_event_comes(
    small: SmallHall, nvml: NvmlClient, events: Kept
) -> None:
    """A wait of an hour would not end within the test."""
    nvml.begin("nvmlEventSetWait_v2", events, 3_600_000)
    set_fault(small.hall, "node-2/0", "xid")

    assert nvml.finish()["device"] == Gpu(0)


def test_wait_without_an_event_ends_with_its_time(nvml: NvmlClient, events: Kept) -> None:
    assert nvml.code("nvmlEventSetWait_v2", events, 30) == TIMEOUT


def test_each_event_is_told_once_to_every_set(
    small: SmallHall, nvml: NvmlClient, events: Kept
) -> None:
    other = nvml.call("nvmlEventSetCreate")
    nvml.call("nvmlDeviceRegisterEvents", Gpu(0), XID, other)
    set_fault(small.hall, "node-2/0", "xid")
    set_fault(small.hall, "node-2/1", "xid")

    seen = [nvml.call("nvmlEventSetWait_v2", events, 0)["device"] for _ in range(2)]

    assert seen == [Gpu(0), Gpu(1)]
    assert nvml.code("nvmlEventSetWait_v2", events, 0) == TIMEOUT
    assert nvml.call("nvmlEventSetWait_v2", other, 0)["device"] == Gpu(0)
    assert nvml.code("nvmlEventSetWait_v2", other, 0) == TIMEOUT


def test_events_before_registration_are_not_told(small: SmallHall, nvml: NvmlClient) -> None:
    set_fault(small.hall, "node-2/0", "xid")
    events = nvml.call("nvmlEventSetCreate")
    nvml.call("nvmlDeviceRegisterEvents", Gpu(0), XID, events)

    assert nvml.code("nvmlEventSetWait_v2", events, 0) == TIMEOUT


def test_lost_gpu_is_told_as_an_event_and_then_as_the_result_of_waiting(
    small: SmallHall, nvml: NvmlClient, events: Kept
) -> None:
    set_fault(small.hall, "node-2/0", "gpu-lost")

    event = nvml.call("nvmlEventSetWait_v2", events, 1000)

    assert (event["device"], event["eventData"]) == (Gpu(0), 79)
    assert nvml.code("nvmlEventSetWait_v2", events, 10) == GPU_IS_LOST


def test_kinds_of_events_the_gpu_does_not_have_are_refused(nvml: NvmlClient, events: Kept) -> None:
    assert nvml.call("nvmlDeviceGetSupportedEventTypes", Gpu(0)) == XID
    assert nvml.code("nvmlDeviceRegisterEvents", Gpu(0), XID | 1, events) == NOT_SUPPORTED


def test_set_is_given_back(nvml: NvmlClient, events: Kept) -> None:
    assert nvml.code("nvmlEventSetFree", events) == 0


def test_wait_ends_with_the_session(nvml: NvmlClient, events: Kept) -> None:
    nvml.call("nvmlShutdown")

    assert nvml.code("nvmlEventSetWait_v2", events, 1000) == UNINITIALIZED
