"""Times survive the wire unchanged; every enum of ours has its counterpart in the API."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coolcap_agent.daemon import wire
from coolcap_agent.daemon.guard import GuardState
from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.drivers.clocks_event_reasons import CLOCKS_EVENT_REASONS
from coolcap_agent.node import wire as node_wire
from coolcap_agent.node.sampler import GpuState
from coolcap_agent.plant.validity import Validity
from coolcap_envs.contract.signals import WORKLOAD_SIGNALS
from coolcap_proto.v1 import common_pb2, node_agent_pb2


@given(st.floats(min_value=0.0, max_value=4e9))
def test_time_survives_the_wire(time_s: float) -> None:
    """
    A simulated hall goes on only when its own time comes back, so a rounded one would stop it.
    """
    sent = wire.timestamp(time_s)

    assert 0 <= sent.nanos < 1_000_000_000
    assert wire.time_of(sent) == pytest.approx(time_s, abs=1e-9)
    if time_s >= 1e7:
        assert wire.time_of(sent) == time_s


@given(st.floats(min_value=0.0, max_value=1e6))
def test_span_survives_the_wire(span_s: float) -> None:
    assert wire.span_of(wire.duration(span_s)) == pytest.approx(span_s, abs=1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_was_not_measured_is_absent(value: float) -> None:
    assert wire.optional(value) is None
    assert wire.optional(0.0) == 0.0


def test_every_outcome_state_and_validity_is_in_the_api() -> None:
    assert [wire.outcome_value(outcome) for outcome in Outcome] == list(common_pb2.Outcome.values())
    for state in GuardState:
        assert common_pb2.LeaseState.Value(f"LEASE_STATE_{state.name}")
    for gpu_state in GpuState:
        assert node_agent_pb2.GpuState.Value(f"GPU_STATE_{gpu_state.name}")
    for validity in Validity:
        assert common_pb2.Validity.Value(f"VALIDITY_{validity.name}")


def test_every_reason_and_workload_class_has_its_number_in_the_api() -> None:
    reasons = node_wire.CLOCKS_EVENT_REASONS
    assert set(CLOCKS_EVENT_REASONS.values()) == set(reasons)
    assert set(reasons.values()) == set(node_agent_pb2.ClocksEventReason.values()) - {0}
    assert [f"{name}_ratio" for name in node_wire.WORKLOAD_CLASSES] == list(WORKLOAD_SIGNALS)
    assert set(node_wire.WORKLOAD_CLASSES.values()) == set(
        node_agent_pb2.WorkloadClass.values()
    ) - {0}
