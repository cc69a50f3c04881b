"""One substep of a control group: work, power, temperatures, and heat given to the air."""

from typing import Final

from coolcap_envs.physics.cold_plate import plate_conductance_w_per_k
from coolcap_envs.physics.gpu import (
    activity,
    die_temp_next_c,
    leakage_ratio,
    sink_conductance_w_per_k,
    sink_temp_next_c,
    throttle_clock_ratio,
)
from coolcap_envs.physics.gpu_cap import BURSTY_HALF_LOAD, CAP_TRACKING_RATIO, operating_point
from coolcap_envs.physics.gpu_floor import floor_clock_ratio
from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import minimum, where
from coolcap_envs.physics.rack import inlet_temp_c, recirculation_with_shortage
from coolcap_envs.physics.records import SUBSTEP_S, Record
from coolcap_envs.physics.server import fan_power_w, fan_target_ratio, supply_loss_w
from coolcap_envs.physics.service import backlog_next_s, latency_ratio

_RESTART_TEMP_C: Final = 60.0
"""Die temperature below which a device that shut itself down is started again. Assumption."""
_HOST_FLOW_GAIN: Final = 5.0
"""Hosts' plates take their full share of heat from a fifth of the design flow up. Assumption."""
_PER_SUBSTEP: Final = 1.0 / SUBSTEP_S

PREFILL: Final = 1.0
DECODE: Final = 2.0
MEMORY_BOUND: Final = 3.0
"""Places of classes in ``WORKLOAD_CLASSES``."""


@law
def has_latency(work_class: float) -> bool:
    """Return whether requests of a class have a latency target."""
    result: bool = (work_class == PREFILL) | (work_class == DECODE)
    return result


@law
def backlog_max_s(work_class: float, q: Record) -> float:
    """Return how much work of a class may wait; training does not queue."""
    waits_s = where(work_class == MEMORY_BOUND, q.service_batch_backlog_max_s, 0.0)
    most_s: float = where(has_latency(work_class), q.service_inference_backlog_max_s, waits_s)
    return most_s


@law
def begin_step(g: Record, c: Record, i: Record) -> None:
    """Clear the means of group ``g`` and take its inputs ``i`` for a control step.

    A new job does not inherit the queue of the last: what waited is given up.
    """
    is_new = g.work_class != i.work_class
    g.lost_gpu_s += where(is_new, c.gpu_count * g.backlog_s, 0.0)
    g.backlog_s = where(is_new, 0.0, g.backlog_s)
    g.work_class = i.work_class
    g.gpu_power_w = 0.0
    g.it_power_w = 0.0
    g.clock_ratio = 0.0
    g.busy_ratio = 0.0
    g.work_rate_ratio = 0.0


@law
def substep(
    g: Record,
    c: Record,
    i: Record,
    m: Record,
    work: Record,
    q: Record,
    cold_temp_c: float,
    hot_temp_c: float,
    shortage_ratio: float,
    part: float,
    coolant_temp_c: float,
    coolant_flow_ratio: float,
    has_liquid: bool,
) -> tuple[float, float, float, float]:
    """Advance group ``g`` by one substep.

    State is written at the end only: the compiler cannot know that rows do not overlap, and would
    read every parameter again after each write.

    Args:
        g: State of the group.
        c: Parameters of the group.
        i: Inputs of the group.
        m: Its GPU model and server.
        work: Row of its workload class.
        q: Parameters of the plant.
        cold_temp_c: Cold-aisle temperature.
        hot_temp_c: Hot-aisle temperature.
        shortage_ratio: Share of the demand for cold air that is not met.
        part: Share of the control step that the substep is.
        coolant_temp_c: Coolant to the cold plates.
        coolant_flow_ratio: Its flow over design.
        has_liquid: Whether coolant, not air, cools the GPUs.

    Returns:
        Heat to the air, W; power at the server input, W; cold air drawn if all is well, kg/s; heat
        to the coolant, W.
    """
    die_before_c = g.die_temp_c
    sink_before_c = g.sink_temp_c
    fan_before = g.fan_ratio
    backlog_before_s = g.backlog_s
    inlet = inlet_temp_c(
        cold_aisle_temp_c=cold_temp_c,
        hot_aisle_temp_c=hot_temp_c,
        recirculation_ratio=recirculation_with_shortage(
            recirculation_ratio=c.recirculation_ratio, shortage_ratio=shortage_ratio
        ),
    )
    leak = leakage_ratio(
        die_temp_c=die_before_c,
        reference_temp_c=m.device_leakage_reference_temp_c,
        leakage_per_k=m.device_leakage_per_k,
    )

    # Work and power of one GPU. The cap refers to the group's hungriest unit: all wait for it.
    load = backlog_before_s * _PER_SUBSTEP + i.demand_ratio
    load = where(g.stopped != 0.0, 0.0, minimum(load, i.rate_max_ratio))
    clock, time, busy, model_power_w = operating_point(
        load_ratio=load,
        cap_w=CAP_TRACKING_RATIO * i.power_cap_w,
        power_scale=leak * c.pace_power_ratio,
        clock_limit_ratio=minimum(
            minimum(i.clock_max_ratio, g.throttle_ratio),
            floor_clock_ratio(
                cap_w=i.power_cap_w, cliff_cap_w=c.cliff_cap_w, slope_per_w=c.cliff_slope_per_w
            ),
        ),
        clock_min_ratio=m.device_clock_min_ratio,
        idle_w=m.device_idle_power_w,
        work=work,
    )
    power_w = model_power_w * leak * c.power_ratio
    served_ratio = minimum(busy / time, load)
    backlog_s, lost_s = backlog_next_s(
        backlog_s=backlog_before_s,
        offered_s=i.demand_ratio * SUBSTEP_S,
        served_s=served_ratio * SUBSTEP_S,
        backlog_max_s=backlog_max_s(work_class=g.work_class, q=q),
    )

    # Server around it, per GPU.
    fan_w = fan_power_w(speed_ratio=fan_before, design_power_w=m.server_fan_power_design_w)
    output_w = power_w + m.server_host_idle_w + m.server_host_dynamic_w * busy + fan_w
    loss_w = supply_loss_w(
        output_w=output_w,
        fixed_w=m.supply_fixed_w,
        linear_ratio=m.server_supply_linear_loss_ratio,
        square_per_w=m.supply_square_per_w,
    )
    input_w = output_w + loss_w

    # Heat: die, heat sink, air; what is stored is not in the air yet.
    die_c = die_temp_next_c(
        die_temp_c=die_before_c,
        sink_temp_c=sink_before_c,
        power_w=power_w,
        resistance_k_per_w=m.device_die_sink_resistance_k_per_w,
        decay=m.die_decay,
    )
    to_sink_w = power_w - m.die_capacity_w_per_k * (die_c - die_before_c)
    around_c = inlet
    conductance_w_per_k = sink_conductance_w_per_k(
        design_w_per_k=m.sink_conductance_w_per_k, air_flow_ratio=fan_before
    )
    if has_liquid:
        around_c = coolant_temp_c
        conductance_w_per_k = plate_conductance_w_per_k(
            resistance_k_per_w=m.server_plate_resistance_k_per_w,
            coolant_w_per_k=m.coolant_w_per_k * coolant_flow_ratio,
        )
    sink_c = sink_temp_next_c(
        sink_temp_c=sink_before_c,
        air_temp_c=around_c,
        heat_w=to_sink_w,
        conductance_w_per_k=conductance_w_per_k,
        capacity_w_per_k=m.sink_capacity_w_per_k,
    )
    from_sink_w = to_sink_w - m.sink_capacity_w_per_k * (sink_c - sink_before_c)
    to_air_w = from_sink_w + input_w - power_w
    to_coolant_w = 0.0
    if has_liquid:
        # Still coolant takes nothing from hosts either; their heat stays in the air then.
        wetted = minimum(_HOST_FLOW_GAIN * coolant_flow_ratio, 1.0)
        host_w = m.server_host_idle_w + m.server_host_dynamic_w * busy
        to_coolant_w = from_sink_w + m.server_liquid_host_ratio * wetted * host_w
        to_air_w -= to_coolant_w
    hot_c = around_c + c.hot_ratio * (die_c - around_c)
    throttle = throttle_clock_ratio(
        clock_limit_ratio=g.throttle_ratio,
        die_temp_c=hot_c,
        slow_temp_c=m.device_slow_temp_c,
        hard_temp_c=m.device_hard_temp_c,
        clock_min_ratio=m.device_clock_min_ratio,
    )

    # Fans follow load and inlet with a lag; their air is the demand for the next substep.
    target = fan_target_ratio(
        power_ratio=input_w * m.per_design_power,
        inlet_temp_c=inlet,
        min_ratio=m.server_fan_min_ratio,
        max_ratio=m.server_fan_max_ratio,
        knee_temp_c=m.server_fan_knee_temp_c,
        slope_per_k=m.server_fan_slope_per_k,
    )
    fan = fan_before + m.fan_lag_ratio * (target - fan_before)
    n = c.gpu_count
    heat_w = n * to_air_w
    it_w = n * input_w
    air_kg_per_s = n * m.server_air_flow_design_kg_per_s * fan * (1.0 - c.recirculation_ratio)
    shutdown_c = m.device_shutdown_temp_c

    g.die_temp_c = die_c
    g.sink_temp_c = sink_c
    g.fan_ratio = fan
    g.throttle_ratio = throttle
    g.backlog_s = backlog_s
    g.time_ratio = time
    g.lost_gpu_s += n * lost_s
    restarted = where(hot_c < _RESTART_TEMP_C, 0.0, g.stopped)
    g.stopped = where(hot_c >= shutdown_c, 1.0, restarted)
    g.inlet_temp_c = inlet
    g.hot_die_temp_c = hot_c
    g.gpu_power_w += part * power_w
    g.it_power_w += part * it_w
    g.clock_ratio += part * clock
    g.busy_ratio += part * busy
    g.work_rate_ratio += part * served_ratio
    return heat_w, it_w, air_kg_per_s, n * to_coolant_w


@law
def end_step(
    g: Record, c: Record, i: Record, m: Record, work: Record, q: Record, step_s: float
) -> None:
    """Add the means of the control step to the counters of group ``g`` and finish its readings."""
    g.it_energy_j += g.it_power_w * step_s
    g.work_gpu_s += c.gpu_count * g.work_rate_ratio * step_s
    g.offered_gpu_s += c.gpu_count * i.demand_ratio * step_s
    g.memory_busy_ratio = g.work_rate_ratio * work.memory_busy_ratio
    # An engine that serves few sequences runs kernels most of the time all the same.
    g.util_ratio = where(
        work.half_load >= BURSTY_HALF_LOAD,
        g.busy_ratio,
        activity(busy_ratio=g.busy_ratio, half_load=work.half_load),
    )
    g.hot_hbm_temp_c = g.hot_die_temp_c + m.device_hbm_rise_k * g.memory_busy_ratio
    latency = latency_ratio(
        offered_ratio=i.demand_ratio,
        throughput=1.0 / g.time_ratio,
        backlog_s=g.backlog_s,
        design_load_ratio=q.service_latency_load_ratio,
        target_s=q.service_latency_target_s,
    )
    g.latency_ratio = where(has_latency(g.work_class), latency, 0.0)


@law
def stored_heat_j(g: Record, c: Record, m: Record) -> float:
    """Return the heat in dies and heat sinks of a group above 0 °C."""
    per_gpu = m.die_capacity_w_per_k * g.die_temp_c + m.sink_capacity_w_per_k * g.sink_temp_c
    stored_j: float = c.gpu_count * per_gpu * SUBSTEP_S
    return stored_j
