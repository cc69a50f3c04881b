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
from coolcap_envs.contract.policy import PolicyBundle, open_graph
from coolcap_training.export import check_parity, export, outputs, probe_rows, to_onnx
from coolcap_training.novelty import Novelty, fit
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

    actions, novelty = bundle.run(rows)

    with torch.no_grad():
        wanted = policy.mean_action(torch.as_tensor(rows)).numpy()
    assert np.abs(wanted).max() == 1.0, "extreme rows should drive some action to its bound"
    np.testing.assert_allclose(actions, wanted, rtol=0.0, atol=1e-5)
    assert (novelty == 0.0).all()


def test_corrections_of_a_bundle_fade_where_rows_are_new(tmp_path: Path) -> None:
    policy = random_policy(3)
    seen = probe_rows(seed=5)[:4096]
    seen[:, :-2] = seen[:, :-2] * 0.1 + 0.9 * seen[:, :-2].mean(axis=0)
    novelty = fit(seen)
    bundle = export(policy, tmp_path, name="t", sites=(), training={}, metrics={}, novelty=novelty)

    actions, new = bundle.run(probe_rows(seed=6))
    familiar, _ = bundle.run(seen)

    assert (actions[new >= 2.0] == 0.0).all()
    assert (new[-256:] >= 2.0).all(), "far outside every bound is new"
    assert np.abs(familiar).max() > 0.1
    wanted, _ = outputs(policy, novelty, probe_rows(seed=6))
    np.testing.assert_allclose(actions, wanted, rtol=0.0, atol=1e-5)


def test_graph_takes_any_number_of_rows() -> None:
    policy, novelty = random_policy(0), Novelty()
    session = open_graph(to_onnx(policy, novelty), origin="test")

    for count in (1, 5, 1251):
        rows = probe_rows(seed=count, count=count)[:count]
        got = np.asarray(session.run(None, {"rows": rows})[0])
        assert np.abs(got - outputs(policy, novelty, rows)[0]).max() < 1e-5


def test_export_refuses_a_graph_that_differs_from_torch() -> None:
    policy = random_policy(0)
    model = onnx.load_from_string(to_onnx(policy, Novelty()))
    weight = next(t for t in model.graph.initializer if list(t.dims) == [64, 64])
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.01
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))

    with pytest.raises(BundleError, match="ONNX Runtime and torch differ by"):
        check_parity(policy, Novelty(), model.SerializeToString())


def test_export_refuses_a_policy_that_is_not_finite() -> None:
    policy = random_policy(0)
    with torch.no_grad():
        policy.outputs.bias[0] = float("nan")

    with pytest.raises(BundleError, match="differ by nan"):
        check_parity(policy, Novelty(), to_onnx(policy, Novelty()))


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
    assert to_onnx(random_policy(5), Novelty()) == to_onnx(random_policy(5), Novelty())


def test_untrained_policy_asks_for_no_correction() -> None:
    torch.manual_seed(0)
    policy = SharedPolicy(ROW_SPACE, ACTION_SPACE, lambda _: 1e-3)
    rows = torch.as_tensor(probe_rows(seed=2))

    actions = policy.mean_action(rows)

    assert rows.shape[1] == len(ROW_FEATURES)
    assert torch.equal(actions, torch.zeros(len(rows), ACTION_WIDTH))
