"""Play every scenario on every protocol: ``make campaign-plant``."""

import argparse
import sys
import tempfile
from dataclasses import asdict
from json import dumps
from pathlib import Path

from coolcap_agent import certs
from coolcap_agent.drivers.base import DriverError
from support.plant_campaign.run import Count, build_clock_shim, play
from support.plant_campaign.scenarios import SCENARIOS

PROTOCOLS = ("bacnet", "modbus", "redfish", "opcua")


def main() -> int:
    """Print a line per scenario and protocol, and the sums; 1 if anything was violated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", choices=PROTOCOLS, action="append")
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), action="append")
    parser.add_argument("--calm", type=float, default=1.5, help="s before and after each fault")
    parser.add_argument("--fault", type=float, default=3.0, help="s a fault lasts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the counts there, too")
    asked = parser.parse_args()
    counts: list[Count] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        pki = certs.make_pki(root / "pki", agents=["plant"])
        shim = build_clock_shim(root)
        _say(
            f"{'scenario':27}{'protocol':9}{'applied':>8}{'changes':>8}{'outside':>8}{'leaps':>6}"
            f"{'back s':>7}{'foreign kept':>13}{'audited':>8}"
        )
        for scenario in asked.scenario or SCENARIOS:
            for protocol in asked.protocol or PROTOCOLS:
                folder = root / f"{protocol}-{len(counts) + len(failures)}"
                try:
                    one = play(
                        scenario,
                        protocol,
                        folder,
                        pki,
                        calm_s=asked.calm,
                        fault_s=asked.fault,
                        clock_shim=shim,
                        seed=asked.seed,
                    )
                except (AssertionError, DriverError) as error:
                    failures.append(f"{scenario} over {protocol}: {error}")
                    _say(f"{scenario:27}{protocol:9} FAILED: {str(error)[:200]}")
                    continue
                counts.append(one)
                _say(_line(one))
    outside, leaps = sum(one.outside for one in counts), sum(one.leaps for one in counts)
    kept, foreign = sum(one.foreign_kept for one in counts), sum(one.foreign for one in counts)
    longest_s = max((one.hand_back_s for one in counts), default=0.0)
    _say(
        f"{len(counts)} of {len(counts) + len(failures)} played to the end; "
        f"{sum(one.changes for one in counts)} changes, {outside} outside limits, {leaps} faster "
        f"than the slew, {kept} of {foreign} foreign values kept, longest hand-back "
        f"{longest_s:.1f} s"
    )
    worst = [f"{one.scenario} over {one.protocol}: {one.worst}" for one in counts if one.worst]
    for text in failures + worst:
        _say(text)
    if asked.json:
        asked.json.write_text(dumps([asdict(one) for one in counts], indent=1) + "\n")
    return 1 if outside or leaps or kept < foreign or failures else 0


def _line(one: Count) -> str:
    return (
        f"{one.scenario:27}{one.protocol:9}{one.applied:8d}{one.changes:8d}{one.outside:8d}"
        f"{one.leaps:6d}{one.hand_back_s:7.1f}{f'{one.foreign_kept} of {one.foreign}':>13}"
        f"{one.audited:8d}"
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
