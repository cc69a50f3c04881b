"""``python -m support.campaign``: the campaign in its long form, with its counts printed."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from support.campaign.bench import Bench, Broken, bench
from support.campaign.kills import kill_round
from support.campaign.scenarios import SCENARIOS


def kills(made: Bench) -> int:
    """Return how many processes were killed so far."""
    return sum(number for what, number in made.counts.items() if what.startswith("kill -9"))


def campaign(made: Bench, *, kill_count: int, repeats: int) -> None:
    """Run everything.

    Args:
        made: The bench.
        kill_count: Kills at random moments, at least.
        repeats: How often each other scenario is run.
    """
    for name, scenario in SCENARIOS.items():
        for _ in range(repeats):
            try:
                scenario(made)
            except Broken as broken:
                raise Broken(f"{name}: {broken}") from broken
            made.count(f"scenario: {name}")
    while kills(made) < kill_count:
        kill_round(made)
        made.count("rounds of kills")


def main() -> int:
    """Run the campaign; 0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m support.campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills at random moments, at least")
    parser.add_argument("--repeats", type=int, default=5, help="times each other scenario is run")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    arguments = parser.parse_args()
    seed = time.time_ns() % 2**31 if arguments.seed is None else arguments.seed
    begin_s, problem = time.monotonic(), ""
    folder = Path(tempfile.mkdtemp(prefix="coolcap-campaign-"))
    with bench(folder, seed=seed) as made:
        try:
            campaign(made, kill_count=arguments.kills, repeats=arguments.repeats)
        except Broken as broken:
            problem = str(broken)
        driver, disk = made.driver, "a tmpfs" if made.disk.mounted else "a limit on file sizes"
    took_s = time.monotonic() - begin_s
    told = {
        "held": not problem,
        "problem": problem,
        "seed": seed,
        "driver": driver,
        "disk": disk,
        "took_s": round(took_s, 1),
        "counts": made.counts,
    }
    lines = [f"{number:7d}  {what}" for what, number in made.counts.items()]
    lines += [f"driver {driver}, broken disk by {disk}, seed {seed}, {took_s:.0f} s; {folder}"]
    lines += [problem or "everything held"]
    sys.stdout.write((json.dumps(told) if arguments.json else "\n".join(lines)) + "\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
