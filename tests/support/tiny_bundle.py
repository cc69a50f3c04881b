"""A bundle made by hand: an ONNX graph that multiplies rows with a small fixed matrix; a
row's novelty is its length."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from coolcap_envs.contract.observation import ACTION_WIDTH, ROW_FEATURES, SCHEMA_HASH
from coolcap_envs.contract.policy import BUNDLE_FORMAT, Manifest, write_bundle


def linear_graph(*, width: int = ACTION_WIDTH) -> tuple[bytes, np.ndarray]:
    """Return a serialised graph and the matrix it multiplies with."""
    matrix = np.zeros((len(ROW_FEATURES), width), dtype=np.float32)
    matrix[0, 0] = 0.5
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["rows", "matrix"], ["actions"]),
            helper.make_node("ReduceL2", ["rows"], ["novelty"], axes=[1], keepdims=0),
        ],
        "tiny",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["m", len(ROW_FEATURES)])],
        [
            helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["m", width]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["m"]),
        ],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnx.ModelProto.SerializeToString(model), matrix


def write_tiny_bundle(folder: Path, **changes: object) -> None:
    """Write a valid bundle; ``changes`` replace fields of its manifest."""
    graph, matrix = linear_graph()
    rows = np.linspace(-1.0, 1.0, 5 * len(ROW_FEATURES), dtype=np.float32).reshape(5, -1)
    fields: dict[str, object] = {
        "format": BUNDLE_FORMAT,
        "name": "tiny",
        "schema_hash": SCHEMA_HASH,
        "graph_sha256": hashlib.sha256(graph).hexdigest(),
        "created_time": "2026-01-01T00:00:00Z",
        "git_commit": "0" * 40,
        "sites": ("small",),
        "training": {},
        "metrics": {},
    }
    golden = (rows, rows @ matrix, np.linalg.norm(rows, axis=1))
    manifest = Manifest(**{**fields, **changes})  # type: ignore[arg-type]
    write_bundle(folder, manifest=manifest, graph=graph, golden=golden)
