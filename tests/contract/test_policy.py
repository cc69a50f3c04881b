"""Tests of policy bundles: one that fits acts, one that does not is refused with the reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coolcap_envs.contract.errors import BundleError
from coolcap_envs.contract.observation import (
    GROUP_FEATURES,
    PLANT_FEATURES,
    SCHEMA_HASH,
    Observation,
)
from coolcap_envs.contract.policy import PolicyBundle, RulePolicy, open_graph
from support.tiny_bundle import linear_graph, write_tiny_bundle


def observation(*shape: int) -> Observation:
    return Observation(
        groups=np.full((*shape, len(GROUP_FEATURES)), 0.4),
        plant=np.full((*shape[:-1], len(PLANT_FEATURES)), 0.1),
    )


def change_golden(folder: Path, **changes: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(folder / "golden.npz") as file:
        golden = dict(file)
    arrays: dict[str, Any] = {k: changes.get(k, np.copy)(v) for k, v in golden.items()}
    np.savez(folder / "golden.npz", **arrays)


def test_a_bundle_acts_on_any_number_of_groups_and_any_batch(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    bundle = PolicyBundle.load(tmp_path)
    assert bundle.name == "tiny"
    assert bundle.act(observation(4)).groups[:, 0] == pytest.approx(0.2)
    assert bundle.act(observation(1250)).groups.shape == (1250, 2)
    assert bundle.act(observation(3, 7)).plant.shape == (3, 6)


def test_a_bundle_says_how_new_each_group_and_the_plant_are(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    action = PolicyBundle.load(tmp_path).act(observation(3, 7))
    assert action.novelty is not None
    assert action.novelty.shape == (3, 8)
    assert (action.novelty > 0.0).all()


def test_the_rule_asks_for_no_correction() -> None:
    action = RulePolicy().act(observation(4))
    assert not action.groups.any()
    assert not action.plant.any()


def test_a_bundle_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, schema_hash="0123456789abcdef")
    with pytest.raises(
        BundleError, match=f"schema 0123456789abcdef of the bundle is not {SCHEMA_HASH}"
    ):
        PolicyBundle.load(tmp_path)


def test_a_changed_graph_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    graph = (tmp_path / "policy.onnx").read_bytes()
    (tmp_path / "policy.onnx").write_bytes(graph[:-10])
    with pytest.raises(BundleError, match="the file was changed or truncated"):
        PolicyBundle.load(tmp_path)


def test_a_graph_that_gives_other_outputs_than_recorded_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    change_golden(tmp_path, actions=lambda recorded: recorded + 0.001)
    with pytest.raises(BundleError, match=r"actions differ from those recorded by 0\.001"):
        PolicyBundle.load(tmp_path)


def test_a_graph_that_judges_novelty_otherwise_than_recorded_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    change_golden(tmp_path, novelty=lambda recorded: recorded * 2.0)
    with pytest.raises(BundleError, match="novelty differ from those recorded by"):
        PolicyBundle.load(tmp_path)


def test_recorded_outputs_of_nan_are_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    change_golden(tmp_path, actions=lambda recorded: recorded * np.nan)
    with pytest.raises(BundleError, match=r"actions differ from those recorded by nan"):
        PolicyBundle.load(tmp_path)


def test_a_manifest_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "blue"}))
    with pytest.raises(BundleError, match=r"unknown \['colour'\]"):
        PolicyBundle.load(tmp_path)


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: cannot be read: No such file"):
        PolicyBundle.load(tmp_path / "nowhere")


def test_a_graph_of_other_width_is_refused() -> None:
    graph, _ = linear_graph(width=3)
    with pytest.raises(BundleError, match="inputs and outputs with widths are"):
        open_graph(graph, origin="here")


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(BundleError, match="here: ONNX Runtime refuses it"):
        open_graph(b"not a graph", origin="here")


def test_a_file_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    odd = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "golden.npz", rows=odd, actions=odd)
    with pytest.raises(BundleError, match=r"golden\.npz: cannot be read"):
        PolicyBundle.load(tmp_path)
