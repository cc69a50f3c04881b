"""The records of the shared hall are what a C compiler makes of the same structs."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from coolcap_agent.sim import hall_layout
from coolcap_agent.sim.hall_layout import HEADER, TABLE_PLACE, TABLES, layout_hash
from coolcap_envs.contract.signals import PLANT_SIGNALS

C_TYPES = {"<u4": "uint32_t", "<u8": "uint64_t", "<i8": "int64_t", "<f8": "double"}
RECORDS = {"header": HEADER, "table_place": TABLE_PLACE, **TABLES}


def members(dtype: np.dtype[np.void]) -> dict[str, tuple[np.dtype[np.generic], int]]:
    assert dtype.fields is not None
    return {name: (field[0], field[1]) for name, field in dtype.fields.items()}


def c_struct(name: str, dtype: np.dtype[np.void]) -> str:
    lines = [
        f"char {key}[{member.itemsize}];" if member.kind == "S" else f"{C_TYPES[member.str]} {key};"
        for key, (member, _) in members(dtype).items()
    ]
    return f"struct {name} {{ {' '.join(lines)} }};"


def c_claims(name: str, dtype: np.dtype[np.void]) -> list[str]:
    claims = [f'_Static_assert(sizeof(struct {name}) == {dtype.itemsize}, "{name}");']
    claims += [
        f'_Static_assert(offsetof(struct {name}, {key}) == {offset}, "{name}.{key}");'
        for key, (_, offset) in members(dtype).items()
    ]
    return claims


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_c_compiler_lays_every_record_out_alike(tmp_path: Path) -> None:
    source = tmp_path / "hall.c"
    lines = ["#include <stddef.h>", "#include <stdint.h>"]
    for name, dtype in RECORDS.items():
        lines += [c_struct(name, dtype), *c_claims(name, dtype)]
    source.write_text("\n".join(lines))

    done = subprocess.run(
        ["cc", "-std=c11", "-fsyntax-only", str(source)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", RECORDS)
def test_members_that_are_written_alone_are_aligned(name: str) -> None:
    """An aligned value of 8 bytes or fewer is stored in one piece."""
    for member, offset in members(RECORDS[name]).values():
        if member.kind != "S":
            assert offset % member.itemsize == 0


def test_layout_hash_tells_a_renamed_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = layout_hash()

    monkeypatch.setattr(hall_layout, "PLANT_SIGNALS", PLANT_SIGNALS[1:])

    assert layout_hash() != before


def test_layout_hash_tells_a_reordered_member(monkeypatch: pytest.MonkeyPatch) -> None:
    before = layout_hash()
    frame = np.dtype([("time_s", "<f8"), ("number", "<u8")], align=True)

    monkeypatch.setitem(hall_layout.TABLES, "frame", frame)

    assert layout_hash() != before
