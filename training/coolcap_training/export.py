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
from coolcap_envs.contract.observation import ROLES, ROW_FEATURES, SCHEMA_HASH, Rows
from coolcap_envs.contract.policy import (
    BUNDLE_FORMAT,
    GOLDEN_TOLERANCE,
    NOVELTY_TOLERANCE,
    Manifest,
    PolicyBundle,
    open_graph,
    write_bundle,
)
from coolcap_training.novelty import Novelty, fade
from coolcap_training.policy import ROW_SPACE, SharedPolicy

GOLDEN_COUNT: Final = 64
"""Recorded input and output pairs in a bundle; they are checked whenever it is loaded."""
RANDOM_COUNT: Final = 4096
EXTREME: Final = 1e6
"""Far outside every feature's bounds; the scaling layer has to clip it."""


class _Graph(nn.Module):
    """What is exported: the policy's deterministic action, faded where a row is new."""

    def __init__(self, policy: SharedPolicy, novelty: Novelty) -> None:
        super().__init__()
        self.policy = policy
        self.novelty = novelty

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scaled = self.policy.pi_features_extractor(rows)
        novelty = self.novelty(scaled)
        return self.policy.mean_action(rows) * fade(novelty)[:, None], novelty


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


def to_onnx(policy: SharedPolicy, novelty: Novelty) -> bytes:
    """Return action and novelty of rows as an ONNX graph with a dynamic number of rows."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated; its successor needs onnxscript and seconds.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _Graph(policy, novelty).eval(),
            (torch.zeros(2, len(ROW_FEATURES)),),
            cast("str", buffer),  # takes any binary file; its annotation says paths only
            dynamo=False,
            input_names=["rows"],
            output_names=["actions", "novelty"],
            dynamic_axes={name: {0: "agents"} for name in ("rows", "actions", "novelty")},
            opset_version=17,
        )
    return buffer.getvalue()


def outputs(policy: SharedPolicy, novelty: Novelty, rows: Rows) -> tuple[Rows, Rows]:
    """Return what torch says the graph must give: actions and novelty of ``rows``."""
    with torch.no_grad():
        actions, new = _Graph(policy, novelty).eval()(torch.as_tensor(rows))
    return actions.numpy(), new.numpy()


def check_parity(policy: SharedPolicy, novelty: Novelty, graph: bytes) -> float:
    """Return the largest difference in an action between torch and ONNX Runtime.

    Raises:
        BundleError: If actions differ by more than ``GOLDEN_TOLERANCE``, or novelty by more than
            ``NOVELTY_TOLERANCE``, or either is not a number.
    """
    rows = probe_rows(seed=0)
    session = open_graph(graph, origin="exported graph")
    got = session.run(None, {"rows": rows})
    worst = [
        float(np.abs(np.asarray(a) - b).max())
        for a, b in zip(got, outputs(policy, novelty, rows), strict=True)
    ]
    if not (worst[0] <= GOLDEN_TOLERANCE and worst[1] <= NOVELTY_TOLERANCE):
        raise BundleError(
            f"export refused: ONNX Runtime and torch differ by {worst[0]:.2g} in actions and "
            f"{worst[1]:.2g} in novelty, at most {GOLDEN_TOLERANCE:g} and {NOVELTY_TOLERANCE:g} "
            "are allowed: report the versions of torch and onnxruntime"
        )
    return worst[0]


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
    novelty: Novelty | None = None,
) -> PolicyBundle:
    """Write ``policy`` as a bundle and load it again.

    Args:
        policy: The trained policy, on the CPU.
        folder: Where the bundle goes; an older one there is replaced.
        name: Name decisions are logged under.
        sites: Sites it was trained on.
        training: Settings of the training, for people; plain JSON.
        metrics: Results on validation scenarios, for people; plain JSON.
        novelty: Fitted to rows of training; without it no row ever counts as new.

    Raises:
        BundleError: If ONNX Runtime and torch differ.
    """
    novelty = novelty or Novelty()
    graph = to_onnx(policy, novelty)
    check_parity(policy, novelty, graph)
    golden = probe_rows(seed=1, count=GOLDEN_COUNT)[:GOLDEN_COUNT]
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
    write_bundle(
        folder, manifest=manifest, graph=graph, golden=(golden, *outputs(policy, novelty, golden))
    )
    return PolicyBundle.load(folder)
