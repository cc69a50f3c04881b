"""The faults, each as what happens between the controller's first and last command."""

import math
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coolcap_agent.plant.server import plant_reset
from coolcap_agent.plant_simulators.bacnet_device import PRIORITY, BacnetDevice
from coolcap_agent.plant_simulators.modbus_plc import ModbusPlc
from coolcap_agent.plant_simulators.opcua_server import OpcuaServer
from coolcap_agent.plant_simulators.redfish_cdu import RedfishCdu
from coolcap_proto.v1 import common_pb2, plant_agent_pb2
from support.daemons import wait_for
from support.plant_campaign.hall import INLET
from support.plant_campaign.rig import PATIENCE_S, SUPPLY, Rig

PERSON_C = 18.123
STRANGER_C = 24.321


def device_reboots(rig: Rig, fault_s: float) -> None:
    """The device is switched off and on: what it was told is forgotten."""
    rig.excuse(fault_s + 10.0)
    rig.device.stop()
    time.sleep(fault_s / 2.0)
    rig.device.start()
    time.sleep(fault_s / 2.0)


def packets_are_lost(rig: Rig, fault_s: float) -> None:
    """Three in ten packets are lost, each way, without a word."""
    rig.proxy.loss_ratio = 0.3
    if rig.protocol in ("modbus", "opcua"):
        rig.excuse(2.0 * fault_s + 10.0)  # heartbeats are lost, too
    time.sleep(2.0 * fault_s)
    rig.proxy.loss_ratio = 0.0
    assert rig.proxy.lost_count > 0


def answers_are_doubled_and_swapped(rig: Rig, fault_s: float) -> None:
    """Answers come twice, and after later ones."""
    rig.proxy.duplicate_ratio = rig.proxy.reorder_ratio = 0.2
    if rig.protocol in ("modbus", "opcua"):
        rig.excuse(2.0 * fault_s + 10.0)
    time.sleep(2.0 * fault_s)
    rig.proxy.duplicate_ratio = rig.proxy.reorder_ratio = 0.0
    assert rig.proxy.duplicated_count > 0


def person_overrides(rig: Rig, fault_s: float) -> None:
    """A person takes the supply air over, at priority 8 where there are priorities."""
    rig.foreign = {SUPPLY: PERSON_C}
    device = rig.device
    if isinstance(device, BacnetDevice):
        device.put(SUPPLY, PERSON_C, priority=8)
    elif isinstance(device, RedfishCdu):
        device.put(SUPPLY, PERSON_C, mode="Override")
    elif isinstance(device, ModbusPlc | OpcuaServer):
        rig.excuse(fault_s + 1e9)  # the switch is the whole device's, and stays on
        device.virtual.hand = {SUPPLY: PERSON_C}
        device.virtual.overridden = True
    time.sleep(fault_s)
    levers = {lever.lever: lever for lever in rig.telemetry().levers}
    assert levers[SUPPLY].state == plant_agent_pb2.LEVER_STATE_OVERRIDDEN, levers[SUPPLY]


def stranger_writes_in_our_place(rig: Rig, fault_s: float) -> None:
    """Another program writes the slot or register that is ours."""
    rig.foreign, rig.strangers = {SUPPLY: STRANGER_C}, [STRANGER_C]
    device = rig.device
    if isinstance(device, BacnetDevice):
        device.put(SUPPLY, STRANGER_C, priority=PRIORITY)
    elif isinstance(device, ModbusPlc | OpcuaServer | RedfishCdu):
        device.put(SUPPLY, STRANGER_C)
    time.sleep(fault_s)
    levers = {lever.lever: lever for lever in rig.telemetry().levers}
    assert levers[SUPPLY].state == plant_agent_pb2.LEVER_STATE_OVERRIDDEN, levers[SUPPLY]
    if isinstance(device, ModbusPlc | OpcuaServer):
        # Their value is left where we wrote; the program goes back to its own without our enable.
        rig.foreign = {}
        rig.excuse(1e9)


def sensors_are_stuck(rig: Rig, fault_s: float) -> None:
    """One of three inlet sensors shows the same for ever, while the load changes."""
    shown = rig.hall.read(f"{INLET}#3")
    rig.hall.spoil = lambda sensor, value: shown if sensor == f"{INLET}#3" else value
    time.sleep(0.5 * fault_s)
    rig.hall.load_w *= 1.3
    wait_for(
        lambda: rig.said("goes on without a point that is") > 0,
        "the stuck sensor is believed",
        patience_s=PATIENCE_S,
    )
    assert _inlet(rig).validity == common_pb2.VALIDITY_VALID


def sensors_drift(rig: Rig, fault_s: float) -> None:
    """One of three inlet sensors runs away from the others, slowly."""
    start_s = time.monotonic()

    def drift(sensor: str, value: float) -> float:
        return value + (time.monotonic() - start_s) * (sensor == f"{INLET}#2") * 2.0

    rig.hall.spoil = drift
    time.sleep(fault_s)
    wait_for(
        lambda: rig.said("goes on without a point that is implausible") > 0,
        "the drifting sensor is believed",
        patience_s=PATIENCE_S,
    )
    reading = _inlet(rig)
    assert reading.validity == common_pb2.VALIDITY_VALID
    assert reading.value < rig.hall.read(INLET) + 4.0


def sensors_flood_nan(rig: Rig, fault_s: float) -> None:
    """Every sensor shows NaN: unknown is unsafe, and control is handed back."""
    rig.hall.spoil = lambda _sensor, _value: math.nan
    rig.wait_for_state(plant_agent_pb2.PLANT_STATE_FALLBACK)
    time.sleep(fault_s)
    rig.hall.spoil = lambda _sensor, value: value
    rig.wait_for_state(plant_agent_pb2.PLANT_STATE_COMMANDED)


def chiller_and_pump_trip(rig: Rig, fault_s: float) -> None:
    """The hall heats up: the agent trips, hands back, and waits for a person."""
    rig.hall.trip()
    rig.wait_for_state(plant_agent_pb2.PLANT_STATE_TRIPPED)
    time.sleep(fault_s)
    rig.hall.repair()
    time.sleep(1.0)
    assert rig.telemetry().plant_state == plant_agent_pb2.PLANT_STATE_TRIPPED
    assert any("a person must look" in text for text in rig.refused)
    plant_reset(rig.config, who="campaign", reason="repaired")
    rig.wait_for_state(plant_agent_pb2.PLANT_STATE_COMMANDED)


def gateway_is_killed(rig: Rig, fault_s: float) -> None:
    """``kill -9`` with values written, and a start that finds them orphaned."""
    rig.kill_agent()
    if rig.protocol in ("modbus", "opcua"):
        rig.excuse(1e9)  # the device's own timeout gives back before the agent is there again
    assert (rig.state / "journal.json").exists()
    time.sleep(fault_s)
    rig.start_agent()
    time.sleep(fault_s)


def gateway_is_stopped(rig: Rig, fault_s: float) -> None:
    """``SIGSTOP`` for longer than the lease lasts."""
    if rig.protocol in ("modbus", "opcua"):
        rig.excuse(1e9)
    rig.send(signal.SIGSTOP)
    time.sleep(fault_s + 3.5)
    rig.send(signal.SIGCONT)
    time.sleep(fault_s)


def clock_jumps(rig: Rig, fault_s: float) -> None:
    """The host's clock is set an hour ahead, and two hours back."""
    shift = rig.folder / "clock"
    for shift_s in (3600, -3600):
        beside = rig.folder / "clock.new"
        beside.write_text(f"{shift_s}\n")
        beside.replace(shift)
        time.sleep(fault_s)
    wait_for(
        lambda: rig.said("clock was set by") >= 2,
        "the clock jump is not noticed",
        patience_s=PATIENCE_S,
    )


def config_is_reloaded(rig: Rig, fault_s: float) -> None:
    """Limits are narrowed under a lease: what is held comes in within its slew."""
    rig.limits = {**rig.limits, SUPPLY: (19.0, 22.0)}
    rig.write_config()
    rig.send(signal.SIGHUP)
    wait_for(lambda: rig.said("was read again") > 0, "no reload", patience_s=PATIENCE_S)
    time.sleep(3.0)
    since_s = time.monotonic()
    time.sleep(2.0 * fault_s)
    late = [one for one in rig.hall.followed if one.lever == SUPPLY and one.time_s > since_s]
    assert late
    assert all(18.999 <= one.value <= 22.001 for one in late)


def nothing_happens(rig: Rig, fault_s: float) -> None:
    """The way it should be."""
    time.sleep(fault_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fault and what it needs."""

    play: Callable[[Rig, float], None]
    shifts_clock: bool = False
    foreign_stays: bool = False


SCENARIOS: Mapping[str, Scenario] = {
    "nothing": Scenario(play=nothing_happens),
    "device reboot": Scenario(play=device_reboots),
    "packet loss 30 %": Scenario(play=packets_are_lost),
    "duplicated and reordered": Scenario(play=answers_are_doubled_and_swapped),
    "operator override": Scenario(play=person_overrides, foreign_stays=True),
    "second writer in our place": Scenario(play=stranger_writes_in_our_place, foreign_stays=True),
    "stuck sensor": Scenario(play=sensors_are_stuck),
    "drifting sensor": Scenario(play=sensors_drift),
    "NaN flood": Scenario(play=sensors_flood_nan),
    "chiller and pump trip": Scenario(play=chiller_and_pump_trip),
    "kill -9 and restart": Scenario(play=gateway_is_killed),
    "SIGSTOP": Scenario(play=gateway_is_stopped),
    "clock jump": Scenario(play=clock_jumps, shifts_clock=True),
    "config reload": Scenario(play=config_is_reloaded),
}


def _inlet(rig: Rig) -> plant_agent_pb2.SignalReading:
    return next(one for one in rig.telemetry().readings if one.signal == INLET)
