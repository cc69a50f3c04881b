"""The console by the rules of WCAG 2.1 AA, as axe-core checks them, light and dark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from support.npm import npm_packages

pytestmark = pytest.mark.slow

AXE = "axe-core@4.14.1"
"""Fetched when tests run; under the MPL-2.0, hence not shipped."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    folder = npm_packages(request, "axe", AXE)
    return Path(folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page, axe: str) -> list[str]:
    """Return what axe complains about: the rule, and the elements."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES
    )
    assert len(found["passes"]) > 10
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["now", "history", "decisions", "events", "budgets"])
def test_page_is_accessible(
    open_page: Callable[..., Page], axe: str, name: str, dark: bool
) -> None:
    page = open_page(at=name, dark=dark, signed_in=True)
    page.wait_for_timeout(500)

    assert violations(page, axe) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_dialogs_are_accessible(open_page: Callable[..., Page], axe: str, dark: bool) -> None:
    page = open_page(dark=dark, signed_in=True)
    page.locator(".group").first.click()
    page.get_by_text("Override this value").click()
    assert violations(page, axe) == []

    page.keyboard.press("Escape")
    page.get_by_role("button", name="Change mode").click()
    assert violations(page, axe) == []


def test_axe_finds_what_is_wrong(open_page: Callable[..., Page], axe: str) -> None:
    page = open_page()
    page.evaluate("document.querySelector('#hall-title').style.color = '#ddd'")

    assert any(line.startswith("color-contrast") for line in violations(page, axe))
