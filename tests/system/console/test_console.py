"""The console in a real browser: what a newcomer, a phone and a keyboard can do with it."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from system.console.conftest import Console

pytestmark = pytest.mark.slow

PAGES = ("now", "history", "decisions", "events", "budgets")
PHONE = (390, 844)
Open = Callable[..., Page]
Shoot = Callable[[Page, str], None]


def test_hall_shows_every_rack_and_gpu_with_power_and_cap(open_page: Open, shoot: Shoot) -> None:
    page = open_page()

    expect(page.locator(".rack")).to_have_count(2)
    expect(page.locator("#hall .gpu")).to_have_count(16)
    expect(page.locator(".rack").first).to_contain_text(
        re.compile(r"inlet \d+\.\d °C · \d+\.\d kW")
    )
    powers = page.locator("#hall .gpu").evaluate_all(
        "all => all.map(one => parseFloat(one.style.getPropertyValue('--p')))"
    )
    assert all(0.0 < power <= 101.0 for power in powers)
    for name in ("Facility power", "Hottest inlet", "PUE"):
        expect(page.locator("#tiles")).to_contain_text(name)
    shoot(page, "now")


def test_numbers_follow_the_controller(open_page: Open) -> None:
    page = open_page()
    before = page.locator("#clock").inner_text()

    expect(page.locator("#clock")).not_to_have_text(before)


def test_lowered_cap_says_why_without_documentation(open_page: Open, shoot: Shoot) -> None:
    """Lower the budget of a rack, then ask one of its GPUs why its cap went down."""
    page = open_page(at="budgets", signed_in=True)
    page.get_by_role("button", name="Change budget rack-01").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Budget, kW").fill("5.6")
    expect(dialog.get_by_role("button", name="Set to 5.6 kW")).to_be_visible()
    dialog.get_by_label("Why").fill("a busbar is being repaired")
    shoot(page, "budget")
    dialog.get_by_role("button", name="Set to 5.6 kW").click()
    expect(page.locator("#said")).to_contain_text("5.60 kW")
    expect(page.locator("#budget-list")).to_contain_text("a busbar is being repaired")
    shoot(page, "budgets")

    page.get_by_role("link", name="Decisions").click()
    expect(page.locator("#decision-list")).to_contain_text("a power budget binds")
    page.get_by_role("link", name="Now").click()
    page.locator(".group").first.click()
    sheet = page.get_by_role("dialog")
    changes = sheet.locator(".changes button", has=page.locator("b.down"))
    lowered = changes.filter(has_text=re.compile("budget", re.IGNORECASE))
    lowered.last.click()

    expect(sheet.locator(".headline")).to_contain_text(re.compile(r"Lowered from \d+ W to \d+ W"))
    expect(sheet.locator(".why")).to_contain_text("rack-01 5600 W")
    shoot(page, "why")

    sheet.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="Budgets").click()
    page.get_by_role("button", name="Change budget rack-01").click()
    dialog.get_by_label("Back to the site file's value").check()
    dialog.get_by_label("Why").fill("repaired")
    dialog.get_by_role("button", name="Back to").click()
    expect(page.locator("#budget-list")).not_to_contain_text("a busbar is being repaired")


def test_mode_is_changed_with_a_reason_and_a_confirmation(open_page: Open, shoot: Shoot) -> None:
    page = open_page(signed_in=True)
    page.get_by_role("button", name="Change mode").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Nothing to change")).to_be_disabled()

    dialog.get_by_role("radio", name=re.compile("^shadow")).check()
    expect(dialog).to_contain_text("go back to what they were before the first write")
    dialog.get_by_role("radio", name=re.compile("^hold")).check()
    confirm = dialog.get_by_role("button", name="Change from auto to hold")
    confirm.click()  # without a reason the browser asks for one, and nothing happens
    expect(page.locator("#mode")).to_have_text("auto")
    dialog.get_by_label("Why").fill("filters are changed")
    shoot(page, "mode")
    confirm.click()

    expect(page.locator("#mode")).to_have_text("hold")
    expect(page.locator("#mode-text")).to_contain_text("filters are changed")
    page.get_by_role("link", name="Events").click()
    expect(page.locator("#event-list")).to_contain_text("hold: filters are changed")
    shoot(page, "events")

    page.get_by_role("button", name="Change mode").click()
    dialog.get_by_role("radio", name=re.compile("^auto")).check()
    dialog.get_by_label("Why").fill("filters are new")
    dialog.get_by_role("button", name="Change from hold to auto").click()
    expect(page.locator("#mode")).to_have_text("auto")


def test_override_is_confirmed_held_and_lifted(open_page: Open, shoot: Shoot) -> None:
    page = open_page(signed_in=True)
    page.locator(".group").nth(3).click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_text("Override this value").click()
    sheet.get_by_label("Value, W").fill("400")
    sheet.get_by_label("For how many minutes").fill("600")
    sheet.get_by_label("Why").fill("a fan of this GPU is weak")
    sheet.get_by_role("button", name="Override", exact=True).click()
    confirm = sheet.get_by_role("button", name=re.compile("Yes, hold"))
    expect(confirm).to_contain_text("400 W")
    confirm.scroll_into_view_if_needed()
    shoot(page, "override")
    confirm.click()

    expect(page.locator("#mode")).to_have_text("overridden")
    sheet.get_by_role("button", name="Close").click()
    expect(page.locator(".group.overridden")).to_have_count(1)
    page.locator(".group").nth(3).click()
    sheet.get_by_text("Override this value").click()
    expect(sheet).to_contain_text("Held at 400 W by operator: a fan of this GPU is weak")
    sheet.get_by_label("Why").fill("the fan is new")
    sheet.get_by_role("button", name="Lift the override").click()

    expect(page.locator("#mode")).to_have_text("auto")


def test_reader_is_shown_no_way_to_change_anything(open_page: Open) -> None:
    page = open_page(at="budgets")

    expect(page.locator("#person")).to_have_text("read only")
    expect(page.get_by_role("button", name="Change mode")).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("Change budget"))).to_have_count(0)
    page.get_by_role("link", name="Now").click()
    page.locator(".group").first.click()
    expect(page.locator("#sheet .headline")).to_be_visible()
    expect(page.get_by_text("Override this value")).to_have_count(0)


def test_signing_in_with_a_token_gives_control_and_a_wrong_one_says_so(
    open_page: Open, console: Console
) -> None:
    page = open_page()
    page.get_by_role("button", name="Sign in").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Token").fill("wrong")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("this token is not known")

    dialog.get_by_label("Token").fill(console.token)
    dialog.get_by_role("button", name="Sign in").click()

    expect(page.locator("#person")).to_have_text("operator, may control")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#person")).to_have_text("read only")


def test_history_draws_what_was_measured(open_page: Open, shoot: Shoot) -> None:
    page = open_page(at="history")

    expect(page.locator(".chart canvas")).to_have_count(6)
    expect(page.locator(".keys").first).to_contain_text(re.compile(r"facility \d+\.\d kW"))
    drawn = page.locator(".chart canvas").evaluate_all(
        "all => all.map(c => c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data.filter((v, i) => i % 4 === 3 && v > 0).length)"
    )
    assert all(count > 2000 for count in drawn)
    shoot(page, "history")
    page.get_by_role("button", name="Last day").click()
    expect(page.get_by_role("button", name="Last day")).to_have_attribute("aria-pressed", "true")


def test_decisions_are_listed_and_their_setpoints_lead_to_the_reason(
    open_page: Open, shoot: Shoot
) -> None:
    page = open_page(at="decisions")

    expect(page.locator("#decision-list li").first).to_contain_text("Policy")
    shoot(page, "decisions")
    page.locator("#decision-list button.chip").first.click()
    expect(page.locator("#sheet .why li").first).to_contain_text("feedback rule")


def test_keyboard_reaches_a_gpu_and_its_reason(open_page: Open) -> None:
    page = open_page(at="")  # from a fragment on, Tab would start there
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    first = page.locator(".group").first
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-label", re.compile(r"node-01/0: \d+ W of a cap of \d+ W"))

    page.keyboard.press("ArrowRight")
    expect(page.locator(".group").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_contain_text("Power cap of node-01/1")
    page.keyboard.press("Escape")
    expect(page.locator("#sheet")).to_be_hidden()
    expect(page.locator(".group").nth(1)).to_be_focused()


@pytest.mark.parametrize("name", PAGES)
def test_phone_shows_each_page_without_sideways_scrolling(
    open_page: Open, shoot: Shoot, name: str
) -> None:
    page = open_page(at=name, size=PHONE)
    page.wait_for_timeout(300)

    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    link = page.get_by_role("link", name=name.capitalize())
    box = link.bounding_box()
    assert box is not None
    assert box["height"] >= 40.0, "large enough for a thumb"
    assert box["y"] > PHONE[1] - 100, "within a thumb's reach"
    if name == "now":
        shoot(page, "phone")


def test_dead_controller_is_not_mistaken_for_a_calm_one(open_page: Open) -> None:
    page = open_page()
    page.route("**/api/stream", lambda route: route.abort())
    page.reload()

    expect(page.locator("#lost")).to_be_visible()
