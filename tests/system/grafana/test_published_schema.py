"""The committed dashboards against the types Grafana publishes, with the TypeScript compiler.

What a panel draws cannot be looked at here: no package ships a Grafana server.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from support.grafana import DEPLOY
from support.npm import npm_packages

pytestmark = pytest.mark.slow

PACKAGES: Final = ("@grafana/schema@13.2.3", "typescript@5.9.3")
TYPES: Final = Path(__file__).parents[2] / "support" / "grafana_types.ts"
BOARDS: Final = sorted((DEPLOY / "dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest) -> Path:
    """A folder with the compiler and Grafana's types, kept between runs."""
    folder = npm_packages(request, "grafana-schema", *PACKAGES)
    shutil.copyfile(TYPES, folder / TYPES.name)
    return folder


def complaints(project: Path, boards: list[str]) -> str:
    """Return what the compiler says of dashboards, given as JSON."""
    lines = [f"import type {{ Board }} from './{TYPES.stem}';"]
    lines += [f"export const board{i}: Board = {board};" for i, board in enumerate(boards)]
    (project / "boards.ts").write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run(
        [
            str(project / "node_modules" / ".bin" / "tsc"),
            "--noEmit",
            "--strict",
            "--skipLibCheck",
            *("--moduleResolution", "bundler"),
            *("--module", "esnext"),
            *("--target", "es2022"),
            "boards.ts",
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout


def test_dashboards_have_grafanas_types(project: Path) -> None:
    assert complaints(project, [path.read_text(encoding="utf-8") for path in BOARDS]) == ""


def test_types_find_what_grafana_does_not_know(project: Path) -> None:
    good = (DEPLOY / "dashboards" / "coolcap-operations.json").read_text(encoding="utf-8")
    mistakes = (
        ('"refresh": "10s"', '"refreshes": "10s"'),
        ('"mode": "absolute"', '"mode": "absolut"'),
        ('"lineWidth": 1.0', '"lineWidth": "1"'),
        ('"graphMode": "none"', '"graphMode": "some"'),
        ('"rawQuery": true', '"rawQuery": "yes"'),
    )
    assert all(right in good for right, _ in mistakes)

    said = complaints(project, [good.replace(right, wrong, 1) for right, wrong in mistakes])

    lines = [int(found) for found in re.findall(r"^boards\.ts\((\d+),", said, re.MULTILINE)]
    length = good.count("\n") + 1
    assert {(line - 2) // length for line in lines} == set(range(len(mistakes)))
