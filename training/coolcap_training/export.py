"""The way out of training: torch policy to a :class:`PolicyBundle`, checked before it is written.

The graph maps rows in physical units to actions in [-1, 1]; scaling, masking and clipping are
inside. Export refuses if ONNX Runtime and torch differ on random or extreme rows.
"""

import hashlib
import io
import subprocess
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
from torch import nn

from coolcap_envs.contract.errors import BundleError
from coolcap_envs.contract.observation import ACTION_WIDTH, ROLES, ROW_FEATURES, SCHEMA_HASH, Rows
from coolcap_envs.contract.policy import (
    BUNDLE_FORMAT,
    GOLDEN_TOLERANCE,
    Manifest,
    PolicyBundle,
    open_graph,
    write_bundle,
)
from coolcap_training.policy import ROW_SPACE, SharedPolicy

GOLDEN_COUNT: Final = 64
"""Recorded input and output pairs in a bundle; they are checked whenever it is loaded."""
RANDOM_COUNT: Final = 4096
EXTREME: Final = 1e6
"""Far outside every feature's bounds; the scaling layer has to clip it."""


class _Graph(nn.Module):
    """What is exported: the policy's deterministic action."""

    def __init__(self, policy: SharedPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.policy.mean_action(rows)


def probe_rows(*, seed: int, count: int = RANDOM_COUNT) -> Rows:
    """Return rows for parity checks: random within bounds, at each bound, and far outside."""
    random = np.random.default_rng(seed)
    low, high = ROW_SPACE.low, ROW_SPACE.high
    inside = random.uniform(low, high, size=(count, low.size))
    corners = np.where(random.random((256, low.size)) < 0.5, low, high)
    outside = random.choice([-EXTREME, EXTREME], size=(256, low.size))
    rows = np.concatenate([inside, corners, outside, [low, high]]).astype(np.float32)
    roles = np.eye(len(ROLES), dtype=np.float32)
    rows[:, -len(ROLES) :] = roles[random.integers(len(ROLES), size=len(rows))]
    return rows


def to_onnx(policy: SharedPolicy) -> bytes:
    """Return the policy's deterministic action as an ONNX graph with a dynamic number of rows."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated; its successor needs onnxscript and seconds.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _Graph(policy).eval(),
            (torch.zeros(2, len(ROW_FEATURES)),),
            cast("str", buffer),  # takes any binary file; its annotation says paths only
            dynamo=False,
            input_names=["rows"],
            output_names=["actions"],
            dynamic_axes={"rows": {0: "agents"}, "actions": {0: "agents"}},
            opset_version=17,
        )
    return buffer.getvalue()


def worst_difference(policy: SharedPolicy, graph: bytes, rows: Rows) -> float:
    """Return the largest difference between torch and ONNX Runtime over ``rows``."""
    session = open_graph(graph, origin="exported graph")
    with torch.no_grad():
        wanted = policy.mean_action(torch.as_tensor(rows)).numpy()
    return float(np.abs(np.asarray(session.run(None, {"rows": rows})[0]) - wanted).max())


def check_parity(policy: SharedPolicy, graph: bytes) -> float:
    """Return the largest difference between torch and ONNX Runtime over probe rows.

    Raises:
        BundleError: If it exceeds ``GOLDEN_TOLERANCE`` or is not a number.
    """
    worst = worst_difference(policy, graph, probe_rows(seed=0))
    if not worst <= GOLDEN_TOLERANCE:
        raise BundleError(
            f"export refused: ONNX Runtime and torch differ by {worst:.2g}, at most "
            f"{GOLDEN_TOLERANCE:g} is allowed: report the versions of torch and onnxruntime"
        )
    return worst


def git_commit() -> str:
    """Return the commit of the software, with ``+changes`` if files differ; "unknown" without."""
    folder = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def export(
    policy: SharedPolicy,
    folder: Path,
    *,
    name: str,
    sites: tuple[str, ...],
    training: dict[str, object],
    metrics: dict[str, object],
) -> PolicyBundle:
    """Write ``policy`` as a bundle and load it again.

    Args:
        policy: The trained policy, on the CPU.
        folder: Where the bundle goes; an older one there is replaced.
        name: Name decisions are logged under.
        sites: Sites it was trained on.
        training: Settings of the training, for people; plain JSON.
        metrics: Results on validation scenarios, for people; plain JSON.

    Raises:
        BundleError: If ONNX Runtime and torch differ.
    """
    graph = to_onnx(policy)
    check_parity(policy, graph)
    golden = probe_rows(seed=1, count=GOLDEN_COUNT)[:GOLDEN_COUNT]
    with torch.no_grad():
        actions = policy.mean_action(torch.as_tensor(golden)).numpy().reshape(-1, ACTION_WIDTH)
    manifest = Manifest(
        format=BUNDLE_FORMAT,
        name=name,
        schema_hash=SCHEMA_HASH,
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        created_time=datetime.now(UTC).isoformat(timespec="seconds"),
        git_commit=git_commit(),
        sites=sites,
        training=training,
        metrics=metrics,
    )
    write_bundle(folder, manifest=manifest, graph=graph, golden=(golden, actions))
    return PolicyBundle.load(folder)
