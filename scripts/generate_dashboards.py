"""Write deploy/grafana and docs/reference/telemetry-log.md from the log's schema.

Run ``python scripts/generate_dashboards.py``; with ``--check`` it only compares.
"""

import sys
from pathlib import Path

from coolcap_agent.dashboards.generate import files
from coolcap_agent.dashboards.reference import page

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Write the files, or compare them; return the exit status."""
    grafana = ROOT / "deploy" / "grafana"
    wanted = {grafana / name: text for name, text in files().items()}
    wanted[ROOT / "docs" / "reference" / "telemetry-log.md"] = page()
    folders = {path.parent for path in wanted if path.is_relative_to(grafana)}
    left = {path for folder in folders for path in folder.glob("*") if path.is_file()} - set(wanted)
    if "--check" in sys.argv[1:]:
        stale = [p for p, text in wanted.items() if not p.is_file() or p.read_text() != text]
        for path in sorted([*stale, *left]):
            print(f"{path.relative_to(ROOT)} is not what scripts/generate_dashboards.py writes")  # noqa: T201
        return 1 if stale or left else 0
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in left:
        path.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
