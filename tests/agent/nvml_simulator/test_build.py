"""The library is built when first needed, fits the hall it was built for, and exports NVML."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.nvml_simulator.build import (
    SOURCES,
    BuildError,
    build_library,
    compile_library,
    find_compiler,
)
from coolcap_agent.nvml_simulator.environment import client_environment
from coolcap_agent.nvml_simulator.hall_header import hall_header, struct_declaration

COMPILER = find_compiler() or "none"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "coolcap"


def test_library_is_built_once_and_kept_in_the_cache(cache: Path) -> None:
    first = build_library()
    built_ns = first.stat().st_mtime_ns

    assert build_library() == first
    assert cache in first.parents
    assert first.name == "libnvidia-ml.so.1"
    assert first.stat().st_mtime_ns == built_ns
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_another_layout_of_the_hall_gives_another_library(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_library()
    changed = hall_header().replace("#define HALL_VERSION 1u", "#define HALL_VERSION 2u")
    assert changed != hall_header()
    monkeypatch.setattr("coolcap_agent.nvml_simulator.build.hall_header", lambda: changed)

    assert build_library() != first
    assert len(list((cache / "nvml-simulator").iterdir())) == 2


def test_record_the_compiler_would_lay_out_differently_stops_the_build(tmp_path: Path) -> None:
    packed = np.dtype([("flags", "<u4"), ("value", "<f8")])
    header = hall_header().replace("#endif", struct_declaration("odd", packed) + "\n#endif")

    with pytest.raises(BuildError, match=r"place of odd\.value"):
        compile_library(COMPILER, header, tmp_path)


def test_missing_compiler_is_named_with_what_to_do(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(cache))
    monkeypatch.delenv("CC", raising=False)

    with pytest.raises(BuildError, match=r"neither \$CC nor gcc nor cc.*install gcc"):
        build_library()


def test_cache_that_cannot_be_written_is_an_error_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(BuildError, match=r"libnvidia-ml\.so\.1 cannot be written: Not a"):
        build_library()


def test_library_exports_functions_of_nvml_and_nothing_else() -> None:
    listed = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", build_library()],
        capture_output=True,
        text=True,
        check=True,
    )
    names = [line.split()[0] for line in listed.stdout.splitlines()]

    assert len(names) > 90
    assert [name for name in names if not name.startswith("nvml")] == []


def test_environment_puts_the_library_before_others_and_keeps_the_rest(tmp_path: Path) -> None:
    environment = client_environment(
        tmp_path / "hall", "node-1", base={"LD_LIBRARY_PATH": "/other", "HOME": "/home/me"}
    )

    assert environment == {
        "LD_LIBRARY_PATH": f"{build_library().parent}:/other",
        "HOME": "/home/me",
        "COOLCAP_HALL": str(tmp_path / "hall"),
        "COOLCAP_NODE": "node-1",
    }


def test_sources_hold_no_header_of_nvidia() -> None:
    for path in SOURCES.iterdir():
        assert "copyright" not in path.read_text().lower()
