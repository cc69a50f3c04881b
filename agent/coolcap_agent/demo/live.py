"""Live progress of a demonstration, asked of the controller as an operator would."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.live import Live
from rich.table import Table

from coolcap_agent.controller import calls, words
from coolcap_agent.controller.client import ControllerError, Operator
from coolcap_agent.demo.configs import Scenario
from coolcap_agent.demo.processes import Processes
from coolcap_proto.v1 import controller_pb2

POLL_S = 2.0
LINE_EVERY_RATIO = 0.25
"""Where output is no terminal, one line per quarter of the run is printed instead."""


def _site_time(status: controller_pb2.GetStatusResponse) -> datetime:
    return status.site_time.ToDatetime(tzinfo=UTC)


def _figures(status: controller_pb2.GetStatusResponse) -> list[tuple[str, str]]:
    power, meters = status.power, status.meters
    held = sum(agent.lease_held for agent in status.agents)
    inlets = [problem.message for problem in status.problems][:1]
    rows = [
        ("site time", f"{_site_time(status):%Y-%m-%d %H:%M}"),
        ("mode", f"{words.mode_text(status.mode)}: {status.mode_reason}"),
        ("leases held", f"{held} of {len(status.agents)} agents"),
        ("IT power", f"{power.it_power_w / 1000.0:.2f} kW"),
        ("cooling power", f"{power.cooling_power_w / 1000.0:.2f} kW"),
        ("facility power", f"{power.facility_power_w / 1000.0:.2f} kW"),
    ]
    if meters.HasField("pue"):
        rows.append(("PUE, last window", f"{meters.pue:.3f}"))
    if meters.HasField("energy_per_work_kwh_per_gpu_h"):
        rows.append(
            ("energy per work", f"{meters.energy_per_work_kwh_per_gpu_h:.3f} kWh per GPU·h")
        )
    return rows + [("problem", text) for text in inlets]


def _view(
    status: controller_pb2.GetStatusResponse | None, scenario: Scenario, *, done_ratio: float
) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    width = 40
    full = round(width * done_ratio)
    table.add_row("simulated", f"{'█' * full}{'░' * (width - full)} {done_ratio:4.0%}")
    for name, text in [] if status is None else _figures(status):
        table.add_row(name, text)
    return table


class Progress:
    """Shows how far the run is until it ends.

    Args:
        console: Where to show it.
        operator: How to reach the controller.
        scenario: What is run.
    """

    def __init__(self, console: Console, operator: Operator, scenario: Scenario) -> None:
        self._console = console
        self._operator = operator
        self._scenario = scenario
        self.status: controller_pb2.GetStatusResponse | None = None

    def _done_ratio(self) -> float:
        if self.status is None:
            return 0.0
        passed: timedelta = _site_time(self.status) - self._scenario.start_time
        return min(max(passed.total_seconds() / self._scenario.duration_s, 0.0), 1.0)

    def _look(self) -> None:
        try:
            self.status = calls.status(self._operator)
        except ControllerError:
            return  # it is starting or stopping; whether it has failed is the processes' to say

    def follow(
        self, processes: Processes, *, until: Callable[[], bool], wait: Callable[[float], None]
    ) -> None:
        """Show progress until ``until`` returns true.

        Raises:
            DemoError: If a daemon fails meanwhile.
        """
        shown = 0.0
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not until():
                processes.check()
                self._look()
                done = self._done_ratio()
                if self._console.is_terminal:
                    live.update(_view(self.status, self._scenario, done_ratio=done), refresh=True)
                elif self.status is not None and done >= shown + LINE_EVERY_RATIO:
                    shown = done
                    texts = [f"{name} {text}" for name, text in _figures(self.status)[:1]]
                    self._console.print(f"simulated {done:.0%}", *texts, sep=", ")
                wait(POLL_S)
