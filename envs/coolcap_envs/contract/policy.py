"""Policies, and the bundle in which a learned one leaves training.

A bundle is a folder: ``policy.onnx`` (rows of features in physical units to actions, with
normalisation and squashing inside), ``manifest.json`` and ``golden.npz`` (inputs and outputs that
are checked at load). Loading refuses anything that does not fit; there is no pickle anywhere.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np

from coolcap_envs.contract.action import Action
from coolcap_envs.contract.errors import BundleError
from coolcap_envs.contract.observation import (
    ACTION_WIDTH,
    ROW_FEATURES,
    SCHEMA_HASH,
    Observation,
    Rows,
    agent_rows,
    split_rows,
)
from coolcap_envs.contract.signature import SIGNATURE, verify

if TYPE_CHECKING:
    import onnxruntime

BUNDLE_FORMAT: Final = 2
GOLDEN_TOLERANCE: Final = 1e-5
"""Largest difference to the recorded actions: float32 differs by 1e-6 between machines."""
NOVELTY_MAX: Final = 10.0
"""Novelty is not told apart beyond this."""
NOVELTY_TOLERANCE: Final = 1e-2
"""The same for novelty, a difference of two large sums."""

_GRAPH, _MANIFEST, _GOLDEN = "policy.onnx", "manifest.json", "golden.npz"


class Policy(Protocol):
    """Anything that turns an observation into an action."""

    @property
    def name(self) -> str:
        """Return the name decisions are logged under."""
        ...

    def act(self, observation: Observation) -> Action:
        """Return the action for ``observation``, with the same batch axes."""
        ...


class RulePolicy:
    """The feedback rule itself: never asks for a correction."""

    name = "rule"

    def act(self, observation: Observation) -> Action:
        """Return the neutral action."""
        return Action.neutral(*observation.groups.shape[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        format: Version of the bundle's layout.
        name: Name the policy is logged under.
        schema_hash: ``SCHEMA_HASH`` of the software that trained it.
        graph_sha256: SHA-256 of ``policy.onnx``.
        created_time: ISO 8601, UTC.
        git_commit: Commit of the software that trained it.
        sites: Sites it was trained on.
        training: Settings of the training, for people.
        metrics: Results on validation scenarios, for people.
    """

    format: int
    name: str
    schema_hash: str
    graph_sha256: str
    created_time: str
    git_commit: str
    sites: tuple[str, ...]
    training: dict[str, object]
    metrics: dict[str, object]


class PolicyBundle:
    """A learned policy, ready to act through ONNX Runtime on one thread."""

    def __init__(
        self, folder: Path, manifest: Manifest, session: "onnxruntime.InferenceSession"
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._session = session

    def __reduce__(self) -> "tuple[Callable[[Path], PolicyBundle], tuple[Path]]":
        """Let another process load the same bundle from its folder."""
        return PolicyBundle.load, (self.folder,)

    @property
    def name(self) -> str:
        """Return the name decisions are logged under."""
        return self.manifest.name

    def act(self, observation: Observation) -> Action:
        """Return the action for ``observation``, with the same batch axes, and its novelty."""
        rows = agent_rows(observation)
        out, novelty = self.run(rows.reshape(-1, rows.shape[-1]))
        action = split_rows(out.reshape(*rows.shape[:-1], ACTION_WIDTH))
        return replace(action, novelty=novelty.astype(np.float64).reshape(rows.shape[:-1]))

    def run(self, rows: Rows) -> tuple[Rows, Rows]:
        """Run the graph on rows ``[M, len(ROW_FEATURES)]``.

        Returns:
            Actions ``[M, ACTION_WIDTH]``, faded where a row is new, and novelty ``[M]``.
        """
        return cast("tuple[Rows, Rows]", tuple(self._session.run(None, {"rows": rows})))

    @classmethod
    def load(cls, folder: Path, *, public_key: Path | None = None) -> "PolicyBundle":
        """Load and check a bundle.

        Args:
            folder: Where it is.
            public_key: PEM file of the key it must be signed with; None accepts any.

        Raises:
            BundleError: If a file is missing or damaged, the signature or the schema is not the
                expected one, or the graph does not give the recorded outputs.
        """
        if public_key is not None:
            verify(folder, _read_bytes(folder / _MANIFEST), public_key=public_key)
        manifest = read_manifest(folder)
        graph = _read_bytes(folder / _GRAPH)
        digest = hashlib.sha256(graph).hexdigest()
        if digest != manifest.graph_sha256:
            raise BundleError(
                f"{folder / _GRAPH}: SHA-256 is {digest[:16]}…, manifest.json says "
                f"{manifest.graph_sha256[:16]}…: the file was changed or truncated; copy it again"
            )
        session = open_graph(graph, origin=str(folder / _GRAPH))
        bundle = cls(folder, manifest, session)
        bundle._check_golden(folder / _GOLDEN)
        return bundle

    def _check_golden(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as golden:
                rows, actions = golden["rows"], golden["actions"]
                novelty = golden["novelty"]
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path}: cannot be read: {error}; copy the bundle again") from error
        got = self.run(rows)
        for name, value, recorded, allowed in (
            ("actions", got[0], actions, GOLDEN_TOLERANCE),
            ("novelty", got[1], novelty, NOVELTY_TOLERANCE),
        ):
            worst = float(np.abs(value - recorded).max())
            if not worst <= allowed:
                raise BundleError(
                    f"{path}: the graph's {name} differ from those recorded by {worst:.2g}, at "
                    f"most {allowed:g} is allowed: retrain or export again on this machine"
                )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``manifest.json``.

    Raises:
        BundleError: If it cannot be read, lacks or has unknown keys, or the schema differs.
    """
    path = folder / _MANIFEST
    try:
        data = json.loads(_read_bytes(path))
    except ValueError as error:
        raise BundleError(f"{path}: is not JSON: {error}") from error
    names = {f.name for f in fields(Manifest)}
    if not isinstance(data, dict) or set(data) != names:
        got = set(data) if isinstance(data, dict) else set()
        raise BundleError(
            f"{path}: missing {sorted(names - got)}, unknown {sorted(got - names)}: "
            "not a manifest of this software"
        )
    manifest = Manifest(**{**data, "sites": tuple(data["sites"])})
    if manifest.format != BUNDLE_FORMAT:
        raise BundleError(f"{path}: format {manifest.format}, this software reads {BUNDLE_FORMAT}")
    if manifest.schema_hash != SCHEMA_HASH:
        raise BundleError(
            f"{path}: schema {manifest.schema_hash} of the bundle is not {SCHEMA_HASH} of this "
            "software (contract/observation.py): retrain, or install the version that made it"
        )
    return manifest


def open_graph(graph: bytes, *, origin: str) -> "onnxruntime.InferenceSession":
    """Open an ONNX graph on one thread and check its inputs and outputs.

    Raises:
        BundleError: If ONNX Runtime refuses it or its shapes are not those of a policy.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no public common base
        raise BundleError(f"{origin}: ONNX Runtime refuses it: {error}") from error
    wanted = {"rows": [len(ROW_FEATURES)], "actions": [ACTION_WIDTH], "novelty": []}
    got = {p.name: p.shape[1:] for p in (*session.get_inputs(), *session.get_outputs())}
    if got != wanted:
        raise BundleError(
            f"{origin}: inputs and outputs with widths are {got}, a policy has {wanted}"
        )
    return session


def write_bundle(
    folder: Path,
    *,
    manifest: Manifest,
    graph: bytes,
    golden: tuple[Rows, Rows, Rows],
) -> None:
    """Write a bundle; the manifest last, so that an interrupted write cannot be loaded.

    Args:
        folder: Where it goes.
        manifest: What it says of itself.
        graph: ONNX.
        golden: Rows with the actions and the novelty they give.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (_MANIFEST, SIGNATURE):
        (folder / name).unlink(missing_ok=True)
    (folder / _GRAPH).write_bytes(graph)
    rows, actions, novelty = golden
    np.savez_compressed(folder / _GOLDEN, rows=rows, actions=actions, novelty=novelty)
    text = json.dumps(asdict(manifest), indent=2, sort_keys=True)
    (folder / _MANIFEST).write_text(text + "\n", encoding="utf-8")
