"""One command for every kind of file."""

from pathlib import Path

import pytest

from coolcap_agent.certs import make_pki
from coolcap_agent.checking import check
from coolcap_envs.contract.config import site_path
from support.small_site import SMALL_SITE
from support.tiny_bundle import write_tiny_bundle

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"


@pytest.mark.parametrize("kind", ["node", "plant", "control", "coordinate"])
def test_kind_of_a_daemons_config_is_recognised(kind: str) -> None:
    """The shipped examples name secrets of a real installation, which are not here."""
    report = check(EXAMPLES / f"{kind}.toml")

    assert report.kind == kind
    secrets = ("certificate", "key", "token")
    assert all(any(secret in text for secret in secrets) for text in report.problems)
    assert report.problems


def test_site_file_is_recognised_and_all_its_problems_told(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SMALL_SITE)
    assert check(path).as_json() == {
        "path": str(path),
        "kind": "site",
        "ok": True,
        "problems": [],
    }

    path.write_text(SMALL_SITE.replace("1200.0", "-1.0").replace("count = 2", "count = 0"))

    report = check(path)
    assert report.kind == "site"
    assert len(report.problems) >= 2


def test_a_site_whose_price_file_is_wrong_is_refused_with_the_file(tmp_path: Path) -> None:
    price = tmp_path / "price.csv"
    price.write_text("time_utc,price_usd_per_kwh\n2023-01-01T00:00:00Z,1\n2023-01-01T00:00:00Z,1\n")
    path = tmp_path / "site.toml"
    path.write_text(
        site_path("lab-16").read_text(encoding="utf-8")
        + '\n[simulation.grid.price]\nfile = "price.csv"\nsource = "made up"\n'
    )

    problems = "; ".join(check(path).problems)

    assert (
        f"simulation.grid.price.file {price}: the hour of the row before stands again" in problems
    )
    assert "has 2 hours; a year of 8760 is needed" in problems


def test_simulation_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "sim.toml"
    path.write_text('site = "lab-16"\nhall_file = "hall"\nstart_time = "2025-07-15T00:00:00Z"\n')

    assert (check(path).kind, check(path).problems) == ("sim", ())


def test_bundle_is_recognised_and_one_of_another_schema_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "good")
    write_tiny_bundle(tmp_path / "bad", schema_hash="0123456789abcdef")

    assert (check(tmp_path / "good").kind, check(tmp_path / "good").problems) == ("bundle", ())
    assert "schema 0123456789abcdef of the bundle is not" in check(tmp_path / "bad").problems[0]


def test_folder_of_certificates_is_recognised(tmp_path: Path) -> None:
    make_pki(tmp_path, agents=["node-1"])
    assert (check(tmp_path).kind, check(tmp_path).problems) == ("certificates", ())

    (tmp_path / "node-1.key").unlink()

    assert any("node-1.key" in text for text in check(tmp_path).problems)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("colour = 'red'\n", "is no config of coolcap"),
        ("[[[\n", "is not valid TOML"),
        (None, "cannot be read"),
    ],
)
def test_file_of_no_kind_is_a_problem(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "file.toml"
    if content is not None:
        path.write_text(content)

    report = check(path)

    assert report.kind == "unknown"
    assert said in report.problems[0]
