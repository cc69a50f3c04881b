"""One substep of a control group: work, power, temperatures, and heat given to the air."""

from typing import Final

from coolcap_envs.physics.gpu import (
    die_temp_next_c,
    leakage_ratio,
    sink_resistance_k_per_w,
    sink_temp_next_c,
    throttle_clock_ratio,
)
from coolcap_envs.physics.gpu_cap import CAP_TRACKING_RATIO, operating_point
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.rack import inlet_temp_c, recirculation_with_shortage
from coolcap_envs.physics.records import SUBSTEP_S, Record
from coolcap_envs.physics.server import fan_power_w, fan_target_ratio, lag_ratio, supply_loss_w
from coolcap_envs.physics.service import backlog_next_s, latency_ratio

_RESTART_TEMP_C: Final = 60.0
"""Die temperature below which a device that shut itself down is started again. Assumption."""

PREFILL: Final = 1
DECODE: Final = 2
MEMORY_BOUND: Final = 3
"""Places of classes in ``WORKLOAD_CLASSES``."""


@law
def backlog_max_s(work_class: int, q: Record) -> float:
    """Return how much work of a class may wait; training does not queue."""
    if work_class in (PREFILL, DECODE):
        return float(q.service_inference_backlog_max_s)
    return float(q.service_batch_backlog_max_s) if work_class == MEMORY_BOUND else 0.0


@law
def begin_step(g: Record, i: Record) -> None:
    """Clear the means of group ``g`` and take its inputs ``i`` for a control step.

    A new job does not inherit the queue of the last: what waited is given up.
    """
    if g.work_class != i.work_class:
        g.lost_gpu_s += g.backlog_s
        g.backlog_s = 0.0
        g.work_class = i.work_class
    g.gpu_power_w = 0.0
    g.it_power_w = 0.0
    g.clock_ratio = 0.0
    g.busy_ratio = 0.0
    g.memory_busy_ratio = 0.0
    g.work_rate_ratio = 0.0


@law
def substep(
    g: Record,
    c: Record,
    i: Record,
    work: Record,
    q: Record,
    cold_temp_c: float,
    hot_temp_c: float,
    shortage_ratio: float,
    part: float,
) -> tuple[float, float, float]:
    """Advance group ``g`` by one substep.

    Args:
        g: State of the group.
        c: Parameters of the group.
        i: Inputs of the group.
        work: Row of its workload class.
        q: Parameters of the plant.
        cold_temp_c: Cold-aisle temperature.
        hot_temp_c: Hot-aisle temperature.
        shortage_ratio: Share of the demand for cold air that is not met.
        part: Share of the control step that the substep is.

    Returns:
        Heat to the air, W; power at the server input, W; cold air drawn if all is well, kg/s.
    """
    inlet = inlet_temp_c(
        cold_aisle_temp_c=cold_temp_c,
        hot_aisle_temp_c=hot_temp_c,
        recirculation_ratio=recirculation_with_shortage(
            recirculation_ratio=c.recirculation_ratio, shortage_ratio=shortage_ratio
        ),
    )
    leak = leakage_ratio(
        die_temp_c=g.die_temp_c,
        reference_temp_c=c.device_leakage_reference_temp_c,
        leakage_per_k=c.device_leakage_per_k,
    )

    # Work and power of one GPU. The cap refers to the group's hungriest unit: all wait for it.
    load = g.backlog_s / SUBSTEP_S + i.demand_ratio
    if g.stopped != 0:
        load = 0.0
    clock, throughput, busy, model_power_w = operating_point(
        load_ratio=load,
        cap_w=CAP_TRACKING_RATIO * i.power_cap_w / (leak * c.pace_power_ratio),
        clock_limit_ratio=min(i.clock_max_ratio, g.throttle_ratio),
        clock_min_ratio=c.device_clock_min_ratio,
        idle_w=c.device_idle_power_w,
        work=work,
    )
    power_w = model_power_w * leak * c.power_ratio
    served_ratio = busy * throughput
    served_s = served_ratio * SUBSTEP_S
    offered_s = i.demand_ratio * SUBSTEP_S
    g.backlog_s, lost_s = backlog_next_s(
        backlog_s=g.backlog_s,
        offered_s=offered_s,
        served_s=served_s,
        backlog_max_s=backlog_max_s(work_class=g.work_class, q=q),
    )

    # Server around it, per GPU.
    fan_w = fan_power_w(speed_ratio=g.fan_ratio, design_power_w=c.server_fan_power_design_w)
    host_w = c.server_host_idle_w + c.server_host_dynamic_w * busy
    output_w = power_w + host_w + fan_w
    loss_w = supply_loss_w(
        output_w=output_w,
        rated_w=c.server_supply_rated_w,
        fixed_share=c.server_supply_fixed_loss_ratio,
        linear_share=c.server_supply_linear_loss_ratio,
        square_share=c.server_supply_square_loss_ratio,
    )
    input_w = output_w + loss_w

    # Heat: die, heat sink, air; what is stored is not in the air yet.
    die_next_c = die_temp_next_c(
        die_temp_c=g.die_temp_c,
        sink_temp_c=g.sink_temp_c,
        power_w=power_w,
        resistance_k_per_w=c.device_die_sink_resistance_k_per_w,
        decay=c.die_decay,
    )
    die_capacity = c.device_die_time_constant_s / c.device_die_sink_resistance_k_per_w
    to_sink_w = power_w - die_capacity * (die_next_c - g.die_temp_c) / SUBSTEP_S
    sink_capacity = c.device_sink_heat_capacity_j_per_k
    sink_next_c = sink_temp_next_c(
        sink_temp_c=g.sink_temp_c,
        air_temp_c=inlet,
        heat_w=to_sink_w,
        resistance_k_per_w=sink_resistance_k_per_w(
            design_resistance_k_per_w=c.device_sink_air_resistance_k_per_w,
            air_flow_ratio=g.fan_ratio,
        ),
        heat_capacity_j_per_k=sink_capacity,
        dt_s=SUBSTEP_S,
    )
    to_air_w = to_sink_w - sink_capacity * (sink_next_c - g.sink_temp_c) / SUBSTEP_S
    g.die_temp_c = die_next_c
    g.sink_temp_c = sink_next_c
    hot_c = inlet + c.hot_ratio * (die_next_c - inlet)
    g.throttle_ratio = throttle_clock_ratio(
        clock_limit_ratio=g.throttle_ratio,
        die_temp_c=hot_c,
        slow_temp_c=c.device_slow_temp_c,
        hard_temp_c=c.device_hard_temp_c,
        clock_min_ratio=c.device_clock_min_ratio,
    )
    if hot_c >= c.device_shutdown_temp_c:
        g.stopped = 1
    elif hot_c < _RESTART_TEMP_C:
        g.stopped = 0

    # Fans follow load and inlet with a lag; their air is the demand for the next substep.
    target = fan_target_ratio(
        power_ratio=input_w / c.server_power_design_w,
        inlet_temp_c=inlet,
        min_ratio=c.server_fan_min_ratio,
        max_ratio=c.server_fan_max_ratio,
        knee_temp_c=c.server_fan_knee_temp_c,
        slope_per_k=c.server_fan_slope_per_k,
    )
    g.fan_ratio += lag_ratio(dt_s=SUBSTEP_S, time_constant_s=c.server_fan_lag_s) * (
        target - g.fan_ratio
    )

    n = c.gpu_count
    g.it_energy_j += n * input_w * SUBSTEP_S
    g.work_gpu_s += n * served_s
    g.offered_gpu_s += n * offered_s
    g.lost_gpu_s += n * lost_s
    memory_busy = served_ratio * work.memory_busy_ratio
    g.gpu_power_w += part * power_w
    g.it_power_w += part * n * input_w
    g.clock_ratio += part * clock
    g.busy_ratio += part * busy
    g.memory_busy_ratio += part * memory_busy
    g.work_rate_ratio += part * served_ratio
    g.inlet_temp_c = inlet
    g.hot_die_temp_c = hot_c
    g.hot_hbm_temp_c = hot_c + c.device_hbm_rise_k * memory_busy
    if g.work_class in (PREFILL, DECODE):
        g.latency_ratio = latency_ratio(
            offered_ratio=i.demand_ratio,
            throughput=throughput,
            backlog_s=g.backlog_s,
            design_load_ratio=q.service_latency_load_ratio,
            target_s=q.service_latency_target_s,
        )
    else:
        g.latency_ratio = 0.0
    air_kg_per_s = n * c.server_air_flow_design_kg_per_s * g.fan_ratio
    heat_w = n * (to_air_w + input_w - power_w)
    return heat_w, n * input_w, air_kg_per_s * (1.0 - c.recirculation_ratio)


@law
def stored_heat_j(g: Record, c: Record) -> float:
    """Return the heat in dies and heat sinks of a group above 0 °C."""
    die_capacity = c.device_die_time_constant_s / c.device_die_sink_resistance_k_per_w
    sink_capacity = c.device_sink_heat_capacity_j_per_k
    return float(c.gpu_count * (die_capacity * g.die_temp_c + sink_capacity * g.sink_temp_c))
