"""Every test that the safety case names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "safety-case.md"
NAMED = re.findall(r"`(tests/[^`]+?\.py)::([^`]+)`", PAGE.read_text(encoding="utf-8"))


def functions_of(path: Path) -> set[str]:
    """Names of the tests of a file, methods behind their class."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}::{part.name}"
                for part in node.body
                if isinstance(part, ast.FunctionDef)
            }
    return names


def test_every_hazard_names_a_test_that_exists() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if not (ROOT / file).exists() or name not in functions_of(ROOT / file)
    ]

    assert missing == []


def test_every_line_of_the_table_names_a_test() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Hazards")[1].split("## States")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []
