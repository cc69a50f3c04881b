"""A fault asked for on the command line begins and ends within the run."""

from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from coolcap_agent.demo.gpu_fault import FaultError, GpuFault, injected, read_fault
from coolcap_agent.sim.faults import FAULTS
from coolcap_agent.sim.hall_layout import Fault
from support.daemons import wait_for
from support.small_hall import START_S, SmallHall

DURATION_S = 4000.0


def injecting(small: SmallHall, name: str, told: StringIO) -> AbstractContextManager[None]:
    return injected(
        GpuFault(name=name, value=None),
        hall=small.path,
        start_s=START_S,
        duration_s=DURATION_S,
        console=Console(file=told, width=200),
    )


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_the_simulation_can_be_asked_for(name: str) -> None:
    assert read_fault(name) == GpuFault(name=name, value=None)


def test_value_of_a_fault_is_read() -> None:
    assert read_fault("foreign-manager=300") == GpuFault(name="foreign-manager", value=300.0)


def test_unknown_fault_is_refused_with_the_list_of_all() -> None:
    with pytest.raises(FaultError) as caught:
        read_fault("gremlins")

    assert all(name in str(caught.value) for name in FAULTS)


def test_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(FaultError, match="power limit, W"):
        read_fault("foreign-set=high")


def test_fault_begins_and_ends_with_site_time(tmp_path: Path) -> None:
    small = SmallHall.create(tmp_path / "hall")
    flags = small.hall.table("gpu_fault")["flags"]
    told = StringIO()
    with injecting(small, "gpu-lost", told):
        small.advance(0.24 * DURATION_S)
        assert not flags.any()
        small.advance(0.02 * DURATION_S)
        wait_for(lambda: bool(flags[0] & Fault.LOST), "the fault does not begin")
        assert not flags[1:].any()
        small.advance(0.25 * DURATION_S)
        wait_for(lambda: not flags.any(), "the fault does not end")

    assert "gpu-lost begins on node-1/0" in told.getvalue()
    assert "gpu-lost ends" in told.getvalue()


def test_fault_ends_with_a_run_that_is_broken_off(tmp_path: Path) -> None:
    small = SmallHall.create(tmp_path / "hall")
    flags = small.hall.table("gpu_fault")["flags"]
    with injecting(small, "mig", StringIO()):
        small.advance(0.3 * DURATION_S)
        wait_for(lambda: bool(flags.any()), "the fault does not begin")

    assert not flags.any()
