"""Pages on safety and modes say what is so: links exist, the drawn table is the code's."""

import re
from pathlib import Path

from coolcap_agent.controller.modes import TRANSITIONS, Event, Mode

ROOT = Path(__file__).resolve().parents[2]
EXPLANATION = ROOT / "docs" / "explanation"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([\w-]+))?\)")


def transition_table() -> str:
    """Return the table of docs/explanation/modes.md."""
    head = "| | " + " | ".join(event.value for event in Event) + " |"
    rule = "|---" * (len(Event) + 1) + "|"
    rows = [
        f"| `{mode}` | "
        + " | ".join(
            "·" if (after := TRANSITIONS[mode].get(event, mode)) is mode else f"`{after}`"
            for event in Event
        )
        + " |"
        for mode in Mode
    ]
    return "\n".join([head, rule, *rows])


def test_table_of_modes_is_the_codes() -> None:
    text = (EXPLANATION / "modes.md").read_text()
    drawn = text.split("controller/modes.py -->\n")[1].split("\n<!-- end")[0]

    assert drawn == transition_table()


def test_each_of_the_eight_mechanisms_links_a_test_that_exists() -> None:
    text = (EXPLANATION / "safety.md").read_text()
    linked = [
        (path, name) for path, name in LINK.findall(text) if name and name.startswith("test_")
    ]

    assert [name.split("_")[1] for _, name in linked] == list("12345678")
    for path, name in linked:
        code = (EXPLANATION / path).resolve().read_text()
        assert f"\ndef {name}(" in code, name


def test_links_of_pages_on_control_lead_to_files() -> None:
    pages = [
        EXPLANATION / "safety.md",
        EXPLANATION / "modes.md",
        *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    ]
    broken = [
        f"{page.name}: {path}"
        for page in pages
        for path, _ in LINK.findall(page.read_text())
        if not path.startswith(("http://", "https://")) and not (page.parent / path).exists()
    ]

    assert broken == []
