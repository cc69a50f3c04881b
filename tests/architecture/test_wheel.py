"""The wheel carries all that the packages need at run time, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "agent/coolcap_agent",
    "envs/coolcap_envs",
    "proto/coolcap_proto",
    "training/coolcap_training",
)
MADE_AT_RUN_TIME = (".pyc", ".nbc", ".nbi")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("coolcap-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_holds_every_file_of_the_package(package: str, wheel_names: set[str]) -> None:
    """Sites, bundles, .proto files and templates are read from the installed package."""
    folder = ROOT / package
    files = {
        str(path.relative_to(folder.parent))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in MADE_AT_RUN_TIME
    }

    assert set() == files - wheel_names


def test_wheel_installs_only_the_four_packages(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names if ".dist-info/" not in name}

    assert {Path(package).name for package in PACKAGES} == tops


def test_wheel_carries_the_licence(wheel_names: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)


def test_wheel_carries_grafanas_files(wheel_names: set[str]) -> None:
    folder = ROOT / "deploy" / "grafana"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert {f"coolcap_agent/dashboards/grafana/{name}" for name in files} <= wheel_names
