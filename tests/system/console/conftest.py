"""A simulated site in real processes with its console, and a browser to look at it.

``COOLCAP_SCREENSHOTS`` names a folder to put the pictures of the documentation into.
"""

import dataclasses
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from coolcap_agent.demo.configs import CONTROL
from coolcap_agent.demo.run import shipped_policy
from support.running_demo import running_demo, scenario

DESKTOP = (1280, 860)
SPEED = 240.0
"""Slow enough to leave a browser on the same machine its share."""
DECISIONS_FIRST = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Where a console is, and what signs in to it as ``operator``."""

    url: str
    token: str


@pytest.fixture(scope="package")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console of a site that has been controlled for half an hour of its time."""
    what = dataclasses.replace(scenario(policy=shipped_policy()), speed=SPEED, console=True)
    with running_demo(tmp_path_factory.mktemp("console"), what) as demo:
        decisions = demo.files.folder / "state" / CONTROL / "decisions.jsonl"
        ready = lambda: decisions.read_bytes().count(b"\n") > DECISIONS_FIRST  # noqa: E731
        assert demo.wait(ready, timeout_s=120.0) < 120.0
        yield Console(
            url=f"http://127.0.0.1:{demo.files.console_port}/", token=demo.files.console_token
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser; not for longer, because Playwright keeps an event loop running meanwhile."""
    expect.set_options(timeout=20_000)  # a machine that does other things, too
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("needs Debian's chromium (scripts/install_test_servers.sh installs it)")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser, console: Console) -> Iterator[Callable[..., Page]]:
    """Gives pages with the console; none may load from elsewhere or complain."""
    url = console.url
    pages: list[Page] = []
    wrong: list[str] = []

    def opened(
        *,
        at: str = "now",
        size: tuple[int, int] = DESKTOP,
        dark: bool = False,
        signed_in: bool = False,
    ) -> Page:
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        pages.append(page)
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(url) else wrong.append(request.url),
        )
        if signed_in:
            page.request.post(f"{url}api/session", data={"token": console.token})
        page.goto(f"{url}#{at}" if at else url)
        expect(page.locator("#mode")).not_to_have_text("\u2013", timeout=15_000)
        return page

    yield opened
    for page in pages:
        page.close()
    assert wrong == []


@pytest.fixture
def shoot() -> Callable[[Page, str], None]:
    """Gives a function that takes a picture of a page, for the documentation."""
    folder = os.environ.get("COOLCAP_SCREENSHOTS", "")

    def take(page: Page, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            image = Image.open(io.BytesIO(page.screenshot()))
            # A palette is enough for a page, and half the size.
            image.convert("RGB").quantize(256).save(Path(folder) / f"{name}.png", optimize=True)

    return take
