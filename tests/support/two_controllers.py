"""Two controllers of one simulated hall as real processes, each behind relays that can be cut."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coolcap_agent.audit import verify
from coolcap_agent.certs import make_pki
from coolcap_agent.demo.configs import OPERATOR, PLANT, Files, write_configs
from coolcap_agent.demo.processes import Processes, free_port
from coolcap_agent.sim.hall_file import open_hall
from coolcap_envs.safety.site_limits import load_site_limits
from support.cut_proxy import CutProxy
from support.running_demo import START_TIMEOUT_S, RunningDemo, scenario

FIRST, SECOND = "control", "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write an agent recorded."""

    agent: str
    time: str
    who: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoControllers:
    """What a test may look at and break."""

    demo: RunningDemo
    ports: dict[str, int]
    relays: dict[str, dict[str, CutProxy]]
    configs: dict[str, Path]

    def start(self, name: str) -> None:
        self.demo.processes.start(name, "control", "--config", str(self.configs[name]))

    def call(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Call a controller as an operator does."""
        where = ["--controller", f"127.0.0.1:{self.ports[name]}", "--name", name]
        identity = ["--as", OPERATOR, "--tls", str(self.demo.files.folder / "pki")]
        return subprocess.run(
            [sys.executable, "-m", "coolcap_agent", *arguments, *where, *identity],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def status(self, name: str) -> dict[str, Any]:
        done = self.call(name, "status", "--json")
        assert done.returncode == 0, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def holders(self) -> list[str]:
        """Return who was granted the newest lease of each agent, from the agents' own logs."""
        found = []
        for log in sorted((self.demo.files.folder / "logs").glob("*.log")):
            if log.stem in (FIRST, SECOND, "sim"):
                continue
            granted = re.findall(r"lease granted to (\w+)@", log.read_text(errors="replace"))
            found.append(granted[-1] if granted else "")
        return found

    def leads(self, name: str) -> bool:
        """Return whether a controller holds every lease and its commands arrive."""
        return self.holders() == [name] * len(self.holders()) and self.writes()[-1].who == name

    def cut(self, name: str, agents: list[str]) -> None:
        for agent in agents:
            self.relays[name][agent].cut()

    def mend(self, name: str) -> None:
        for relay in self.relays[name].values():
            relay.mend()

    def writes(self) -> list[Write]:
        """Return every write of controllers all agents recorded, by the host's time."""
        found: list[Write] = []
        state = self.demo.files.folder / "state"
        for agent in self.relays[FIRST]:
            path = state / agent / "audit.jsonl"
            lines = path.read_text().splitlines() if path.exists() else []
            for line in lines:
                entry = json.loads(line) if line.endswith("}") else {}
                if "epoch" in entry and "@" in entry["who"]:
                    found.append(
                        Write(
                            agent=agent,
                            time=entry["host_time"],
                            who=entry["who"].split("@")[0],
                            epoch=entry["epoch"],
                        )
                    )
        return sorted(found, key=lambda write: write.time)

    def check_history(self) -> int:
        """Assert that no two controllers ever wrote at a time; return the number of hand-overs."""
        for agent in self.relays[FIRST]:
            verify(self.demo.files.folder / "state" / agent / "audit.jsonl")
        writes = self.writes()
        for agent in self.relays[FIRST]:
            mine = [w for w in writes if w.agent == agent]
            holders = {w.epoch: w.who for w in mine}
            assert all(holders[w.epoch] == w.who for w in mine), f"{agent}: an epoch of two holders"
            assert [w.epoch for w in mine] == sorted(w.epoch for w in mine), f"{agent}: fencing"
        spans: list[tuple[str, str, str]] = []
        for write in writes:
            if spans and spans[-1][0] == write.who:
                spans[-1] = (write.who, spans[-1][1], write.time)
            else:
                spans.append((write.who, write.time, write.time))
        for before, after in itertools.pairwise(spans):
            assert before[2] < after[1], f"{before[0]} and {after[0]} both wrote at {after[1]}"
        return len(spans) - 1


@contextmanager
def two_controllers(folder: Path) -> Iterator[TwoControllers]:
    """Start hall and agents, and both controllers, the first one first."""
    what = scenario()
    layout, limits = load_site_limits(what.site)
    files = write_configs(folder / "run", what, layout, limits)
    make_pki(files.folder / "pki", agents=[], controllers=[SECOND], operators=[], viewers=[])
    ports = {FIRST: files.control_port, SECOND: free_port()}
    relays, configs = _configs(files, [*layout.nodes, PLANT], ports)
    try:
        with Processes(files.folder / "logs") as processes:
            processes.start("sim", "sim", "--config", str(files.configs["sim"]))
            processes.wait_for("the hall", files.hall.exists, timeout_s=START_TIMEOUT_S)
            for name in (*layout.nodes, PLANT):
                kind = "plant" if name == PLANT else "node"
                processes.start(name, kind, "--config", str(files.configs[name]))
            hall = open_hall(files.hall, writable=False)
            two = TwoControllers(
                demo=RunningDemo(processes=processes, files=files, hall=hall),
                ports=ports,
                relays=relays,
                configs=configs,
            )
            two.start(FIRST)
            assert two.demo.wait(lambda: min(two.demo.changed_count()) >= 2, timeout_s=60.0) < 60.0
            two.start(SECOND)
            yield two
    finally:
        for relay in (relay for of_one in relays.values() for relay in of_one.values()):
            relay.close()


def _configs(
    files: Files, agents: list[str], ports: dict[str, int]
) -> tuple[dict[str, dict[str, CutProxy]], dict[str, Path]]:
    text = files.configs[FIRST].read_text()
    relays: dict[str, dict[str, CutProxy]] = {}
    configs: dict[str, Path] = {}
    for name, other in ((FIRST, SECOND), (SECOND, FIRST)):
        relays[name] = {}
        mine = text.replace(f'"{FIRST}"', f'"{name}"').replace(f"state/{FIRST}", f"state/{name}")
        mine = mine.replace(f"pki/{FIRST}.", f"pki/{name}.")
        mine = mine.replace(f":{ports[FIRST]}", f":{ports[name]}")
        mine = mine.replace("telemetry.lp", f"telemetry-{name}.lp")
        for agent in agents:
            port = int(re.search(rf'name = "{agent}"\n.*\naddress = "127.0.0.1:(\d+)"', text)[1])  # type: ignore[index]
            relays[name][agent] = CutProxy(port)
            mine = mine.replace(f"127.0.0.1:{port}", f"127.0.0.1:{relays[name][agent].port}")
        mine += f'\n[election]\n[[election.peers]]\nname = "{other}"\n'
        mine += f'address = "127.0.0.1:{ports[other]}"\n'
        configs[name] = files.folder / f"{name}.toml"
        configs[name].write_text(mine)
    return relays, configs
