"""Rules of the API that no linter knows: units, absence, first values, documented errors."""

import re
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    ServiceDescriptor,
)

from coolcap_proto.v1 import (
    common_pb2,
    controller_pb2,
    node_agent_pb2,
    node_relay_pb2,
    plant_agent_pb2,
)

FILES = (common_pb2, controller_pb2, node_agent_pb2, node_relay_pb2, plant_agent_pb2)
PROTO = Path(__file__).parents[2] / "proto" / "coolcap_proto" / "v1"

PLAIN_UNITS = ("_w", "_kwh", "_c", "_mhz", "_l", "_kg", "_usd", "_gpu_h", "_ratio")
UNIT_SUFFIXES = (*PLAIN_UNITS, "_per_s", "_per_kwh", "_per_gpu_h", "_per_minute")
# Quantities whose unit is that of the lever, signal or decision step they belong to, which is
# named in the same message; and plain indices.
UNIT_ELSEWHERE = {
    "coolcap.v1.RestoreResult.value",
    "coolcap.v1.Lever.low",
    "coolcap.v1.Lever.high",
    "coolcap.v1.SignalReading.value",
    "coolcap.v1.LeverReading.setpoint_requested",
    "coolcap.v1.LeverReading.setpoint_effective",
    "coolcap.v1.Setpoint.value",
    "coolcap.v1.SetpointResult.setpoint_asked",
    "coolcap.v1.SetpointResult.setpoint_requested",
    "coolcap.v1.SetpointResult.setpoint_effective",
    "coolcap.v1.LeverStatus.setpoint_requested",
    "coolcap.v1.LeverStatus.setpoint_effective",
    "coolcap.v1.DecisionStep.baseline",
    "coolcap.v1.DecisionStep.policy",
    "coolcap.v1.DecisionStep.shielded",
    "coolcap.v1.DecisionStep.commanded",
    "coolcap.v1.DecisionStep.read_back",
    "coolcap.v1.DecisionStep.in_force",
    "coolcap.v1.Feature.value",
    "coolcap.v1.Influence.value",
    "coolcap.v1.Influence.reference",
    "coolcap.v1.Influence.effect",
    "coolcap.v1.Effect.before",
    "coolcap.v1.Effect.expected_max",
    "coolcap.v1.Effect.after",
    "coolcap.v1.OverrideStatus.value",
    "coolcap.v1.SetOverrideRequest.value",
}
DIMENSIONLESS = {
    "coolcap.v1.MeterWindow.pue",
    "coolcap.v1.PolicyStatus.work_value",
    "coolcap.v1.Decision.novelty",
}
BANNED = re.compile(r"(^num_|_mw$|_kw$|_pct$|_percent$|_ms$|_j$|_wh$)")


def messages() -> Iterator[Descriptor]:
    for file in FILES:
        yield from file.DESCRIPTOR.message_types_by_name.values()


def fields() -> Iterator[FieldDescriptor]:
    for message in messages():
        yield from message.fields


def enums() -> Iterator[EnumDescriptor]:
    for file in FILES:
        yield from file.DESCRIPTOR.enum_types_by_name.values()


def test_no_field_is_unsigned_or_single_precision() -> None:
    allowed = {
        FieldDescriptor.TYPE_BOOL,
        FieldDescriptor.TYPE_DOUBLE,
        FieldDescriptor.TYPE_ENUM,
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_MESSAGE,
        FieldDescriptor.TYPE_STRING,
    }

    assert [field.full_name for field in fields() if field.type not in allowed] == []


def test_every_quantity_ends_in_its_unit() -> None:
    exempt = UNIT_ELSEWHERE | DIMENSIONLESS
    doubles = [field for field in fields() if field.type == FieldDescriptor.TYPE_DOUBLE]

    assert [
        field.full_name
        for field in doubles
        if not field.name.endswith(UNIT_SUFFIXES) and field.full_name not in exempt
    ] == []
    assert set() == exempt - {field.full_name for field in doubles}


def test_no_field_has_a_banned_name() -> None:
    assert [field.full_name for field in fields() if BANNED.search(field.name)] == []


def test_instants_are_named_time_and_spans_carry_no_unit() -> None:
    def named_well(field: FieldDescriptor) -> bool:
        kind = field.message_type.full_name if field.message_type else ""
        if kind == "google.protobuf.Timestamp":
            return bool(field.name == "time" or field.name.endswith("_time"))
        if kind == "google.protobuf.Duration":
            return not field.name.endswith(("_s", "_time"))
        return True

    assert [field.full_name for field in fields() if not named_well(field)] == []


def test_every_measured_value_can_be_absent() -> None:
    """
    A telemetry field without presence would show a sensor that failed as a reading of zero.
    """
    measured = (
        node_agent_pb2.GpuTelemetry,
        node_agent_pb2.NodeTelemetry,
        plant_agent_pb2.SignalReading,
        plant_agent_pb2.LeverReading,
        controller_pb2.PowerStatus,
        controller_pb2.GroupStatus,
    )
    doubles = [
        field
        for message in measured
        for field in message.DESCRIPTOR.fields
        if field.type == FieldDescriptor.TYPE_DOUBLE
    ]

    assert [field.full_name for field in doubles if not field.has_presence] == []
    assert len(doubles) > 25


def test_first_value_of_every_enum_is_unspecified() -> None:
    assert [
        enum.full_name
        for enum in enums()
        if enum.values[0].number != 0 or not enum.values[0].name.endswith("_UNSPECIFIED")
    ] == []


def test_the_wire_package_is_coolcap_v1() -> None:
    assert {"coolcap.v1"} == {file.DESCRIPTOR.package for file in FILES}


def test_every_service_documents_its_errors() -> None:
    for path in PROTO.glob("*.proto"):
        text = path.read_text(encoding="utf-8")
        for comment in re.findall(r"((?://[^\n]*\n)+)service ", text):
            assert "| condition " in comment, path.name


def test_every_call_documents_its_role_and_whether_it_is_idempotent() -> None:
    found = []
    for path in PROTO.glob("*.proto"):
        text = path.read_text(encoding="utf-8")
        for comment, name in re.findall(r"((?:  //[^\n]*\n)+)  rpc (\w+)", text):
            plain = " ".join(comment.replace("//", "").split())
            assert "Role: " in plain, f"{path.name} {name}"
            assert "Idempotent" in plain or name == "Session", f"{path.name} {name}"
            found.append(name)

    assert len(found) == 7 + 1 + 7 + 7


def test_both_agents_speak_the_same_lease_protocol() -> None:
    """
    One client drives both; only the commands differ.
    """

    def shared(service: ServiceDescriptor) -> list[tuple[str, str, str]]:
        return [
            (method.name, method.input_type.name, method.output_type.name)
            for method in service.methods
            if "Lease" in method.name
        ]

    node = node_agent_pb2.DESCRIPTOR.services_by_name["NodeAgent"]
    plant = plant_agent_pb2.DESCRIPTOR.services_by_name["PlantAgent"]

    assert shared(node) == [
        ("AcquireLease", "AcquireLeaseRequest", "Lease"),
        ("RenewLease", "RenewLeaseRequest", "Lease"),
        ("ReleaseLease", "ReleaseLeaseRequest", "ReleaseLeaseResponse"),
    ]
    assert shared(node) == shared(plant)
