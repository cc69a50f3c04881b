"""Tests of the compilation cache."""

from pathlib import Path

import pytest

from coolcap_envs.physics.jit import cache_folder, source_hash


def test_editing_a_law_changes_the_cache_folder(tmp_path: Path) -> None:
    """Numba alone would go on running the old law inside a cached kernel."""
    law = tmp_path / "law.py"
    law.write_text("def law(x): return 7.0 * x\n", encoding="utf-8")
    before = source_hash(tmp_path)
    law.write_text("def law(x): return 16.0 * x\n", encoding="utf-8")
    assert source_hash(tmp_path) != before


def test_equal_sources_share_a_cache_folder(tmp_path: Path) -> None:
    (tmp_path / "law.py").write_text("x = 1\n", encoding="utf-8")
    assert source_hash(tmp_path) == source_hash(tmp_path)


def test_the_users_choice_of_cache_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path / source_hash()


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocker / "below"))
    assert not cache_folder().is_relative_to(tmp_path)
