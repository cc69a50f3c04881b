import numpy as np
import pytest

from coolcap_agent.controller.wire import node_rows, plant_row
from coolcap_agent.daemon.wire import timestamp
from coolcap_envs.contract.signals import GROUP_COLUMN, PLANT_COLUMN
from coolcap_proto.v1 import common_pb2, node_agent_pb2, plant_agent_pb2


def gpu(index: int, **fields: object) -> node_agent_pb2.GpuTelemetry:
    return node_agent_pb2.GpuTelemetry(
        gpu_uuid=f"GPU-{index}",
        gpu_index=index,
        **{"state": node_agent_pb2.GPU_STATE_OK, **fields},  # type: ignore[arg-type]
    )


def test_what_a_server_draws_beside_its_gpus_is_shared_among_them() -> None:
    message = node_agent_pb2.NodeTelemetry(
        gpus=[gpu(0, power_w=300.0, energy_kwh=1.0), gpu(1, power_w=500.0, energy_kwh=3.0)],
        it_power_w=1000.0,
        it_energy_kwh=6.0,
    )

    rows = node_rows(message, gpu_count=2)

    assert rows[:, GROUP_COLUMN["it_power_w"]].tolist() == [400.0, 600.0]
    assert rows[:, GROUP_COLUMN["it_energy_kwh"]].tolist() == [2.0, 4.0]


def test_inlet_temperature_of_the_server_is_that_of_each_gpu() -> None:
    message = node_agent_pb2.NodeTelemetry(gpus=[gpu(0), gpu(1)], inlet_temp_c=23.5)

    assert node_rows(message, gpu_count=2)[:, GROUP_COLUMN["inlet_temp_c"]].tolist() == [23.5, 23.5]


def test_absent_value_is_not_a_number_but_no_target_means_nothing_is_late() -> None:
    row = node_rows(node_agent_pb2.NodeTelemetry(gpus=[gpu(0)]), gpu_count=1)[0]

    assert np.isnan(row[GROUP_COLUMN["gpu_power_w"]])
    assert np.isnan(row[GROUP_COLUMN["it_power_w"]])
    assert row[GROUP_COLUMN["latency_ratio"]] == 0.0


@pytest.mark.parametrize(
    ("state", "known"),
    [
        (node_agent_pb2.GPU_STATE_OK, True),
        (node_agent_pb2.GPU_STATE_READ_ONLY, True),
        (node_agent_pb2.GPU_STATE_UNREACHABLE, False),
        (node_agent_pb2.GPU_STATE_LOST, False),
        (node_agent_pb2.GPU_STATE_UNSPECIFIED, False),
        (99, False),
    ],
)
def test_gpu_that_does_not_answer_has_no_readings(state: int, known: bool) -> None:
    message = node_agent_pb2.NodeTelemetry(gpus=[gpu(0, power_w=300.0, state=state)])

    power_w = node_rows(message, gpu_count=1)[0, GROUP_COLUMN["gpu_power_w"]]

    assert known == np.isfinite(power_w)


def test_gpu_beyond_the_layout_is_left_out() -> None:
    message = node_agent_pb2.NodeTelemetry(gpus=[gpu(0, power_w=1.0), gpu(7, power_w=2.0)])

    rows = node_rows(message, gpu_count=1)

    assert rows[:, GROUP_COLUMN["gpu_power_w"]].tolist() == [1.0]


@pytest.mark.parametrize(
    ("workload", "signal"),
    [
        (node_agent_pb2.WORKLOAD_CLASS_TRAINING, "training_ratio"),
        (node_agent_pb2.WORKLOAD_CLASS_PREFILL, "prefill_ratio"),
        (node_agent_pb2.WORKLOAD_CLASS_DECODE, "decode_ratio"),
        (node_agent_pb2.WORKLOAD_CLASS_MEMORY_BOUND, "memory_bound_ratio"),
        (node_agent_pb2.WORKLOAD_CLASS_UNSPECIFIED, ""),
    ],
)
def test_workload_is_one_of_its_classes_or_none(
    workload: node_agent_pb2.WorkloadClass.ValueType, signal: str
) -> None:
    message = node_agent_pb2.NodeTelemetry(gpus=[gpu(0, workload_class=workload)])

    row = node_rows(message, gpu_count=1)[0]

    shares = ("training_ratio", "prefill_ratio", "decode_ratio", "memory_bound_ratio")
    assert [signal] * bool(signal) == [name for name in shares if row[GROUP_COLUMN[name]] == 1.0]


@pytest.mark.parametrize(
    ("validity", "known"),
    [
        (common_pb2.VALIDITY_VALID, True),
        (common_pb2.VALIDITY_STALE, False),
        (common_pb2.VALIDITY_STUCK, False),
        (common_pb2.VALIDITY_UNSPECIFIED, False),
        (99, False),
    ],
)
def test_only_valid_readings_of_the_plant_come_through(validity: int, known: bool) -> None:
    message = plant_agent_pb2.PlantTelemetry(
        measure_time=timestamp(100.0),
        readings=[
            plant_agent_pb2.SignalReading(
                signal="wet_bulb_temp_c",
                value=15.0,
                measure_time=timestamp(95.0),
                validity=validity,  # type: ignore[arg-type]
            )
        ],
    )

    values, times_s = plant_row(message)

    column = PLANT_COLUMN["wet_bulb_temp_c"]
    assert known == np.isfinite(values[column])
    assert known == (times_s[column] == 95.0)


def test_lever_in_force_and_unknown_names_of_the_plant() -> None:
    message = plant_agent_pb2.PlantTelemetry(
        measure_time=timestamp(100.0),
        readings=[
            plant_agent_pb2.SignalReading(
                signal="made_up_c", value=1.0, validity=common_pb2.VALIDITY_VALID
            )
        ],
        levers=[
            plant_agent_pb2.LeverReading(lever="made_up_c", setpoint_effective=1.0),
            plant_agent_pb2.LeverReading(
                lever="supply_air_temp_setpoint_c", setpoint_effective=21.0
            ),
        ],
    )

    values, times_s = plant_row(message)

    assert values[PLANT_COLUMN["supply_air_temp_setpoint_c"]] == 21.0
    assert np.isfinite(values).sum() == 1
    assert times_s[PLANT_COLUMN["supply_air_temp_setpoint_c"]] == 100.0
