"""The recipe of the image names files, extras and commands that exist."""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "deploy" / "container" / "Containerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions(name: str) -> list[str]:
    joined = RECIPE.replace("\\\n", " ")
    return [
        line[len(name) :].strip() for line in joined.splitlines() if line.startswith(f"{name} ")
    ]


def test_everything_that_is_copied_exists() -> None:
    sources = [
        word
        for line in instructions("COPY")
        if not line.startswith("--from")
        for word in line.split()[:-1]
    ]

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_what_the_wheel_is_built_from_is_copied() -> None:
    copied = {line.split()[0] for line in instructions("COPY")}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert {package.split("/")[0] for package in wheel["packages"]} <= copied
    assert set(wheel["force-include"]) <= copied


def test_extras_and_command_are_those_of_the_project() -> None:
    extras = re.findall(r"'\.\[([a-z,]+)\]'", RECIPE)
    assert extras
    assert set(",".join(extras).split(",")) <= set(PROJECT["project"]["optional-dependencies"])

    (entry,) = (json.loads(line) for line in instructions("ENTRYPOINT"))
    assert entry[0] in PROJECT["project"]["scripts"]
