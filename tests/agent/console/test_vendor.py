"""Code of others in the console is what its record says, and nothing is loaded from elsewhere."""

import hashlib
import re
from pathlib import Path

from coolcap_agent.console.app import STATIC

VENDOR = STATIC / "vendor"


def test_vendored_code_is_unchanged_and_its_licence_is_there() -> None:
    record = (VENDOR / "README.md").read_text(encoding="utf-8")
    digest = hashlib.sha256((VENDOR / "uPlot.iife.min.js").read_bytes()).hexdigest()

    assert f"`{digest}`" in record
    assert "MIT License" in (VENDOR / "uPlot.LICENSE").read_text(encoding="utf-8")


def test_no_file_of_the_page_names_another_host() -> None:
    own = [path for path in STATIC.rglob("*") if path.is_file() and VENDOR not in path.parents]
    addresses = {
        address
        for path in own
        for address in re.findall(r"https?://[\w.-]+", path.read_text(encoding="utf-8"))
    }

    assert addresses == {"http://www.w3.org"}  # the namespace of the icon


def test_every_script_and_style_the_page_needs_is_there() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|href)="/static/([^"]+)"', page):
        assert (STATIC / name).is_file()
    for script in (STATIC / "js").glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', script.read_text(encoding="utf-8")):
            assert (Path(script.parent) / name).is_file(), f"{script.name} needs {name}"
