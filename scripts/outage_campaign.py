"""Run the outage campaign at full length on a real InfluxDB and print the counts.

``make outages`` does it at 10,000 points per second with ten minutes of outage: about 20 minutes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.influx_server import HOW_TO_GET, LocalInfluxServer, can_start
from support.outages import Campaign, run


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run it; returns 0 if every row arrived, once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000, help="points per second")
    parser.add_argument("--phase", type=int, default=20, help="seconds of each other fault")
    parser.add_argument("--down", type=int, default=600, help="seconds the database is away")
    parser.add_argument("--rate", type=int, default=1, help="times real time; 0: no limit")
    parser.add_argument("--kills", type=int, default=8, help="kill -9 of the writer")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    chosen = parser.parse_args()
    if not can_start():
        parser.exit(2, f"outages: {HOW_TO_GET}\n")
    campaign = Campaign(
        points=chosen.points,
        phase_s=chosen.phase,
        down_s=chosen.down,
        rate=chosen.rate,
        kills=chosen.kills,
        seed=chosen.seed,
    )
    with tempfile.TemporaryDirectory(prefix="coolcap-outages-") as name:
        folder = Path(name)
        server = LocalInfluxServer(folder)
        try:
            counts = run(campaign, server, folder, say=say)
        finally:
            server.stop()
    say("\n".join(counts.lines()))
    ok = counts.rows_stored == counts.rows_sent and not counts.values_wrong
    ok = ok and counts.refused == counts.bad_sent and counts.dropped <= counts.refused
    say("every row sent is stored, once" if ok else "ROWS ARE MISSING")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
