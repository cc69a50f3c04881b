"""Run the whole system around a simulated hall, in real processes, and report what it did.

A simulation host stands for the hardware; a node agent per host, a plant agent and the controller
talk mutual TLS on the loopback interface, as they would between machines. Nothing here is special
to the demonstration but the hall: the daemons are started with configs an operator could write.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import numpy as np
from rich.console import Console

from coolcap_agent.controller.client import Operator
from coolcap_agent.demo.configs import CONTROL, OPERATOR, Files, Scenario, write_configs
from coolcap_agent.demo.field import SIMULATED, start_device
from coolcap_agent.demo.gpu_fault import GpuFault, injected, read_fault
from coolcap_agent.demo.live import Progress
from coolcap_agent.demo.processes import DemoError, Processes, interruptible
from coolcap_agent.demo.report import ReportInput, write_report
from coolcap_agent.demo.result import Result, comparison
from coolcap_agent.demo.rivals import REFERENCE, run_rivals
from coolcap_agent.sim.hall_file import open_hall
from coolcap_envs.contract.meters import Totals
from coolcap_envs.reward import WORK_VALUE_DEFAULT
from coolcap_envs.safety.site_limits import load_site_limits

SEED = 1
START_TIME = datetime(2025, 7, 15, 5, tzinfo=UTC)
"""Midnight of a summer's day where the shipped sites' first weather was measured (UTC-5)."""

KEEP_RUNNING_S = 365 * 86400.0
START_TIMEOUT_S = 120.0
"""The first run on a machine compiles the plant model, which takes about 20 s on two cores."""
RUN_FOLDER = "run"
"""Configs, certificates, logs and state of the daemons, beside the report."""
LIVE = "live"
LIVE_MEANING = "the policy through daemons, TLS and leases: the run this report shows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """How the hardware stood after the daemons had gone."""

    value_count: int
    as_before_count: int

    @property
    def text(self) -> str:
        """Return it in words."""
        return (
            f"{self.as_before_count} of {self.value_count} caps and setpoints are back at what "
            "they were before the first write"
        )


def shipped_policy() -> str:
    """Return the folder of the bundle that comes with the package, ``rule`` if there is none."""
    folder = Path(str(resources.files("coolcap_envs") / "bundles" / "default"))
    return str(folder) if (folder / "manifest.json").exists() else "rule"


def run_demo(
    *,
    site: str = "lab-16",
    duration_h: float = 24.0,
    speed: float = 0.0,
    keep_running: bool = False,
    out: Path | None = None,
    as_json: bool = False,
    plant: str = SIMULATED,
    fault: str = "",
) -> int:
    """Run the demonstration; returns the exit status.

    Args:
        site: Shipped site or path of a site file.
        duration_h: Simulated hours.
        speed: Site seconds per real second at most; 0: as fast as the daemons follow.
        keep_running: Go on until interrupted; without baselines, whose run would not end.
        out: Folder of report, configs and logs; a new one under ``out/`` if None.
        as_json: Print one JSON object instead of a table.
        plant: How the plant agent reaches the hall, one of ``PROTOCOLS``.
        fault: Fault of a GPU midway, ``NAME`` or ``NAME=VALUE`` of ``sim.faults``; empty: none.

    Raises:
        CoolcapError: If the site has a problem, or a daemon fails.
    """
    started_s = time.monotonic()
    gpu_fault = read_fault(fault) if fault else None
    console = Console(stderr=as_json, highlight=False)
    folder = (out or Path("out") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}").resolve()
    scenario = Scenario(
        site=str(Path(site).resolve()) if site.endswith(".toml") else site,
        weather=None,
        seed=SEED,
        start_time=START_TIME,
        duration_s=KEEP_RUNNING_S if keep_running else duration_h * 3600.0,
        speed=speed or None,
        policy=shipped_policy(),
        work_value=WORK_VALUE_DEFAULT,
        plant=plant,
        console=keep_running,
    )
    layout, limits = load_site_limits(scenario.site)
    shutil.rmtree(folder / RUN_FOLDER, ignore_errors=True)  # an old hall must not be mistaken
    files = write_configs(folder / RUN_FOLDER, scenario, layout, limits)
    console.print(
        f"{layout.name}: {int(layout.gpu_count.sum())} GPUs in {layout.group_count} control groups "
        f"on {len(layout.nodes)} nodes; starting {len(files.configs)} processes"
    )
    with ThreadPoolExecutor(1, initializer=_step_back) as pool:
        rivals, restored = _run_processes(
            files, scenario, console, pool, compare=not keep_running, fault=gpu_fault
        )
    results = [_live(files), *rivals]
    reference = next((r for r in results if r.name == REFERENCE), results[0])
    facts = _facts(files, scenario, restored, took_s=time.monotonic() - started_s)
    summary = {
        "site": layout.name,
        "seed": scenario.seed,
        "start_time": scenario.start_time.isoformat(),
        "reference": reference.name,
        "results": [result.as_dict() for result in results],
        "facts": dict(facts),
        "restored": restored.as_before_count == restored.value_count,
        "out": str(folder),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    write_report(
        folder / "report.html",
        ReportInput(
            site=layout.name,
            subtitle=_subtitle(scenario, results[0]),
            results=results,
            reference=reference,
            limits=limits,
            telemetry_files=[files.telemetry],
            facts=facts,
        ),
    )
    if as_json:
        print(json.dumps(summary, indent=2))  # noqa: T201 - the answer to --json
    else:
        _show(console, results, reference, facts, folder)
    return 0 if summary["restored"] else 1


def _step_back() -> None:
    """Give the calling thread less of the processor than the daemons get, where that exists."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _run_processes(
    files: Files,
    scenario: Scenario,
    console: Console,
    pool: ThreadPoolExecutor,
    *,
    compare: bool,
    fault: GpuFault | None,
) -> tuple[list[Result], Restored]:
    """Run the daemons through the scenario, and the baselines beside them."""
    operator = Operator(
        address=f"127.0.0.1:{files.control_port}",
        controller=CONTROL,
        tls_dir=files.folder / "pki",
        identity=OPERATOR,
    )
    rivals: Future[list[Result]] | None = None
    with interruptible(), Processes(files.folder / "logs") as processes:
        processes.start("sim", "sim", "--config", str(files.configs["sim"]))
        processes.wait_for("starting the hall", files.hall.exists, timeout_s=START_TIMEOUT_S)
        start_device(processes, protocol=scenario.plant, hall=files.hall)
        for name, config in files.configs.items():
            if name not in ("sim", CONTROL):
                kind = "plant" if name == "plant" else "node"
                processes.start(name, kind, "--config", str(config))
        processes.start(CONTROL, "control", "--config", str(files.configs[CONTROL]))
        if compare:
            rivals = pool.submit(run_rivals, scenario)
        else:
            console.print(
                f"running until Ctrl-C; see `coolcap status --controller {operator.address} "
                f"--tls {operator.tls_dir}`, or the web console at "
                f"http://127.0.0.1:{files.console_port}/ (to control, sign in with the token "
                f"{files.console_token})"
            )
        progress = Progress(console, operator, scenario)
        with (
            injected(
                fault,
                hall=files.hall,
                start_s=scenario.start_time.timestamp(),
                duration_s=scenario.duration_s,
                console=console,
            ),
            nullcontext() if compare else _until_interrupted(console),
        ):
            progress.follow(processes, until=lambda: not processes.alive("sim"), wait=time.sleep)
        processes.stop("sim")
        if not files.truth.exists():
            processes.check()
            raise DemoError(f"the simulation left no {files.truth.name}; see {files.folder}/logs")
        # The controller hands back; what an agent has not finished then, it finishes as it ends.
        processes.stop_all()
        restored = _restored(files)
        done = rivals.result() if rivals is not None else []
    return done, restored


@contextmanager
def _until_interrupted(console: Console) -> Iterator[None]:
    """Take Ctrl-C as the wish to end in good order."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("ending")


def _restored(files: Files) -> Restored:
    """Compare what the hardware is asked for with what it was asked for at the start."""
    hall = open_hall(files.hall, writable=False)
    caps = hall.table("gpu_control")["power_limit_requested_w"]
    before = hall.table("gpu_info")["power_limit_default_w"]
    info = hall.table("lever_info")
    levers = hall.lever_values()[info["present"] != 0]
    defaults = info["default_value"][info["present"] != 0]
    as_before = np.isclose(caps, before).sum() + np.isclose(levers, defaults).sum()
    return Restored(value_count=caps.size + levers.size, as_before_count=int(as_before))


def _live(files: Files) -> Result:
    truth = json.loads(files.truth.read_text(encoding="utf-8"))
    return Result(
        name=LIVE,
        meaning=LIVE_MEANING,
        totals=Totals(**truth["totals"]),
        violation_min=truth["violation_min"],
    )


def _facts(
    files: Files, scenario: Scenario, restored: Restored, *, took_s: float
) -> list[tuple[str, str]]:
    truth = json.loads(files.truth.read_text(encoding="utf-8"))
    missed = sum(truth["missed_acknowledgements"].values())
    elapsed_s = truth["totals"]["elapsed_s"]
    return [
        ("policy", scenario.policy if scenario.policy == "rule" else Path(scenario.policy).name),
        ("work value", f"{scenario.work_value:g}"),
        ("plant reached by", scenario.plant),
        ("seed", str(scenario.seed)),
        ("simulated", f"{elapsed_s / 3600.0:.1f} h in {took_s:.0f} s"),
        ("answers of agents missed by the simulation", str(missed)),
        ("hottest inlet", f"{truth['extremes']['inlet_temp_max_c']:.1f} °C"),
        ("after the end", restored.text),
    ]


def _subtitle(scenario: Scenario, live: Result) -> str:
    hours = live.totals.elapsed_s / 3600.0
    start = scenario.start_time
    return f"{hours:.1f} simulated hours from {start:%Y-%m-%d %H:%M} UTC, seed {scenario.seed}"


def _show(
    console: Console,
    results: Sequence[Result],
    reference: Result,
    facts: Sequence[tuple[str, str]],
    folder: Path,
) -> None:
    hours = results[0].totals.elapsed_s / 3600.0
    title = f"{hours:.1f} simulated hours; energy per unit of work against {reference.name}"
    console.print(comparison(results, reference, title=title))
    console.print(
        "over, late: minutes above a temperature limit or power budget, above the latency target"
    )
    for result in results:
        console.print(f"  [bold]{result.name}[/bold]: {result.meaning}")
    for name, text in facts:
        console.print(f"{name}: {text}")
    console.print(f"report: {folder / 'report.html'}")
