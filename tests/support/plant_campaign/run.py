"""Play one scenario on one protocol and count."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from coolcap_agent import certs
from coolcap_agent.audit import verify
from support.daemons import wait_for
from support.plant_campaign.checks import judge
from support.plant_campaign.rig import HAND_BACK_MAX_S, TTL_S, rig
from support.plant_campaign.scenarios import SCENARIOS

SLACK_S = 12.0
"""For reconnecting to a device that was away, and for a machine with other things to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one scenario came to.

    Attributes:
        scenario: Its name.
        protocol: Over which protocol.
        applied: Setpoints the agent said it applied.
        changes: Changes the equipment followed.
        outside: Of these outside own or joint limits.
        leaps: Of these faster than the slew.
        hand_back_s: From the controller's last word to every lever back and the journal gone.
        foreign_kept: Of values other people held, how many are in force at the end.
        foreign: How many other people held.
        audited: Entries of the audit log, whose chain holds.
        worst: A violation in words.
    """

    scenario: str
    protocol: str
    applied: int
    changes: int
    outside: int
    leaps: int
    hand_back_s: float
    foreign_kept: int
    foreign: int
    audited: int
    worst: str


def play(
    scenario: str,
    protocol: str,
    folder: Path,
    pki: certs.Pki,
    *,
    calm_s: float,
    fault_s: float,
    clock_shim: Path,
    seed: int = 0,
) -> Count:
    """Control, let the fault happen, control on, vanish, and wait for the hand-back.

    Raises:
        AssertionError: If the agent does not do what the scenario expects, or does not hand back.
    """
    what = SCENARIOS[scenario]
    shim = clock_shim if what.shifts_clock else None
    with rig(protocol, folder, pki, clock_shim=shim, seed=seed) as made:
        made.start_agent()
        made.start_controller()
        wait_for(lambda: made.applied_count > 3, "nothing is applied")
        time.sleep(calm_s)
        what.play(made, fault_s)
        time.sleep(calm_s)
        made.stop_controller()
        gone_s = time.monotonic()
        wait_for(
            made.is_back,
            f"not handed back: {made.hall.now}; {made.log.read_text()[-3000:]}",
            patience_s=TTL_S + HAND_BACK_MAX_S + SLACK_S,
        )
        hand_back_s = time.monotonic() - gone_s
        time.sleep(0.5)  # nothing more may happen now
        found = judge(made)
        kept = sum(abs(made.hall.now[k] - v) < 1e-3 for k, v in made.foreign.items())
        return Count(
            scenario=scenario,
            protocol=protocol,
            applied=made.applied_count,
            changes=found.change_count,
            outside=found.outside_count,
            leaps=found.leap_count,
            hand_back_s=hand_back_s,
            foreign_kept=kept,
            foreign=len(made.foreign),
            audited=verify(made.state / "audit.jsonl").count,
            worst=found.worst,
        )


def build_clock_shim(folder: Path) -> Path:
    """Compile the library that shifts one process's clock. Raises CalledProcessError."""
    library = folder / "clock_shim.so"
    source = Path(__file__).with_name("clock_shim.c")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library
