"""Time how long a poll of many points takes on each field protocol, and what memory it needs.

Run ``make bench-plant``; a simulated device serves each protocol from a process of its own on this
host. Each driver is measured in a fresh process; the memory is that of a whole plant agent that
has served and polled for some seconds. ``--json`` prints one object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from statistics import median

from coolcap_envs.contract.config import Table

PROTOCOLS = ("bacnet", "modbus", "opcua", "redfish")
POLL_COUNT = 10
AGENT_S = 8.0
"""How long the agent polls before its memory is read."""
OWN_OPTIONS = {"bacnet": {"interface": "127.0.0.1:47809", "device_instance": 4000}}


def measure(protocol: str, folder: Path) -> dict[str, float]:
    """Poll the device that ``points.toml`` in ``folder`` describes; return times and memory."""
    module = import_module(f"coolcap_agent.drivers.{protocol}")
    options = {"points": "points.toml", "poll_deadline_s": 30.0, **OWN_OPTIONS.get(protocol, {})}
    table = Table(options, path="driver", problems=[])
    driver = module.make_cooling_driver(table, plant_id="bench", folder=folder)
    if table.problems:
        raise SystemExit("; ".join(table.problems))
    driver.open()
    times_s = []
    begun_cpu_s = time.process_time()
    for _ in range(POLL_COUNT):
        begun_s = time.perf_counter()
        readings = driver.read()
        times_s.append(time.perf_counter() - begun_s)
        if any(reading.problem for reading in readings):
            raise SystemExit(next(r.problem for r in readings if r.problem))
    cpu_s = (time.process_time() - begun_cpu_s) / POLL_COUNT
    driver.close()
    return {
        "point_count": len(readings),
        "poll_median_s": median(times_s),
        "poll_max_s": max(times_s),
        "poll_cpu_s": cpu_s,
    }


def agent_memory_mb(protocol: str, folder: Path) -> float:
    """Run a plant agent on the points in ``folder`` and return its greatest memory."""
    from coolcap_agent.certs import make_pki

    make_pki(folder / "pki", agents=["plant"])
    options = "".join(f"{k} = {json.dumps(v)}\n" for k, v in OWN_OPTIONS.get(protocol, {}).items())
    (folder / "plant.toml").write_text(
        'plant_id = "plant"\nstate_dir = "state"\nsample_period_s = 1.0\n'
        'device_deadline_s = 10.0\n[server]\ncertificate_file = "pki/plant.crt"\n'
        'key_file = "pki/plant.key"\nca_file = "pki/ca.crt"\n[log]\nlevel = "info"\n'
        f'[driver]\nname = "{protocol}"\n[driver.{protocol}]\npoints = "points.toml"\n{options}'
    )
    command = [sys.executable, "-m", "coolcap_agent", "plant", "--config"]
    with (folder / "plant.log").open("w") as log:
        agent = subprocess.Popen([*command, str(folder / "plant.toml")], stderr=log, stdout=log)
    try:
        deadline_s = time.monotonic() + 60.0
        while "serves on" not in (folder / "plant.log").read_text():
            if agent.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit((folder / "plant.log").read_text())
            time.sleep(0.1)
        time.sleep(AGENT_S)
        status = Path(f"/proc/{agent.pid}/status").read_text()
    finally:
        agent.terminate()
        agent.wait()
    peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return float(peak_kb) / 1024.0


def bench(protocol: str, sensor_count: int) -> dict[str, float]:
    """Serve a device, measure its driver in a process of its own, and return what it printed."""
    with tempfile.TemporaryDirectory() as name:
        points = Path(name) / "points.toml"
        serve = [sys.executable, "-m", "coolcap_agent.plant_simulators", protocol]
        serve += ["--points", str(points), "--sensor-count", str(sensor_count)]
        device = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
        try:
            if device.stdout is None or not device.stdout.readline():
                raise SystemExit(f"the simulated {protocol} device did not start")
            ask = [sys.executable, __file__, "--measure", protocol, "--folder", name]
            done = subprocess.run(ask, capture_output=True, text=True, check=False)
            memory_mb = agent_memory_mb(protocol, Path(name))
        finally:
            device.terminate()
            device.communicate()
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        result: dict[str, float] = json.loads(done.stdout)
        return {**result, "agent_rss_max_mb": memory_mb}


def main() -> None:
    """Print a line, or with ``--json`` one object, for all protocols."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sensor-count", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", choices=PROTOCOLS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        sys.stdout.write(json.dumps(measure(asked.measure, asked.folder)))
        return
    results = {protocol: bench(protocol, asked.sensor_count) for protocol in PROTOCOLS}
    if asked.json:
        sys.stdout.write(json.dumps(results) + "\n")
        return
    sys.stdout.write("protocol  points  median s  longest s  own CPU s  agent's memory MB\n")
    for protocol, result in results.items():
        sys.stdout.write(
            f"{protocol:8}  {result['point_count']:6.0f}  {result['poll_median_s']:8.3f}"
            f"  {result['poll_max_s']:9.3f}  {result['poll_cpu_s']:9.3f}"
            f"  {result['agent_rss_max_mb']:17.0f}\n"
        )


if __name__ == "__main__":
    main()
