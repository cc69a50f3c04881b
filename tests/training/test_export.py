"""A policy leaves training only as a bundle that does exactly what torch does."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from coolcap_envs.contract.errors import BundleError
from coolcap_envs.contract.observation import ACTION_WIDTH, ROW_FEATURES, SCHEMA_HASH
from coolcap_envs.contract.policy import PolicyBundle
from coolcap_training.export import check_parity, export, probe_rows, to_onnx, worst_difference
from coolcap_training.policy import ACTION_SPACE, ROW_SPACE, SharedPolicy


def random_policy(seed: int) -> SharedPolicy:
    """A policy whose output layer is not zero, so that its actions differ from row to row."""
    torch.manual_seed(seed)
    policy = SharedPolicy(ROW_SPACE, ACTION_SPACE, lambda _: 1e-3)
    with torch.no_grad():
        policy.outputs.weight.normal_(std=0.3)
        policy.outputs.bias.normal_(std=0.3)
    return policy


def export_to(folder: Path, policy: SharedPolicy) -> PolicyBundle:
    return export(policy, folder, name="test", sites=("lab-16",), training={}, metrics={})


def test_bundle_acts_as_the_torch_policy_on_random_and_extreme_rows(tmp_path: Path) -> None:
    policy = random_policy(3)
    bundle = export_to(tmp_path, policy)
    rows = probe_rows(seed=11)

    with torch.no_grad():
        wanted = policy.mean_action(torch.as_tensor(rows)).numpy()

    assert np.abs(wanted).max() == 1.0, "extreme rows should drive some action to its bound"
    np.testing.assert_allclose(bundle.run(rows), wanted, rtol=0.0, atol=1e-5)


def test_graph_takes_any_number_of_rows() -> None:
    policy = random_policy(0)
    graph = to_onnx(policy)

    for count in (1, 5, 1251):
        rows = probe_rows(seed=count, count=count)[:count]
        assert worst_difference(policy, graph, rows) < 1e-5


def test_export_refuses_a_graph_that_differs_from_torch() -> None:
    policy = random_policy(0)
    model = onnx.load_from_string(to_onnx(policy))
    weight = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.01
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))

    with pytest.raises(BundleError, match="ONNX Runtime and torch differ by"):
        check_parity(policy, model.SerializeToString())


def test_export_refuses_a_policy_that_is_not_finite() -> None:
    policy = random_policy(0)
    with torch.no_grad():
        policy.outputs.bias[0] = float("nan")

    with pytest.raises(BundleError, match="differ by nan"):
        check_parity(policy, to_onnx(policy))


def test_tampered_graph_is_refused_at_load(tmp_path: Path) -> None:
    export_to(tmp_path, random_policy(0))
    path = tmp_path / "policy.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")

    with pytest.raises(BundleError, match="SHA-256"):
        PolicyBundle.load(tmp_path)


def test_manifest_carries_schema_and_settings(tmp_path: Path) -> None:
    export_to(tmp_path, random_policy(0))

    manifest = json.loads((tmp_path / "manifest.json").read_text())

    assert (manifest["schema_hash"], manifest["sites"]) == (SCHEMA_HASH, ["lab-16"])


def test_exporting_one_policy_twice_gives_the_same_graph() -> None:
    assert to_onnx(random_policy(5)) == to_onnx(random_policy(5))


def test_untrained_policy_asks_for_no_correction() -> None:
    torch.manual_seed(0)
    policy = SharedPolicy(ROW_SPACE, ACTION_SPACE, lambda _: 1e-3)
    rows = torch.as_tensor(probe_rows(seed=2))

    actions = policy.mean_action(rows)

    assert rows.shape[1] == len(ROW_FEATURES)
    assert torch.equal(actions, torch.zeros(len(rows), ACTION_WIDTH))
