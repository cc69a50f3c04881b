"""From a finished run to a bundle with its validation results, and back to a policy."""

import json
from importlib import resources
from pathlib import Path
from typing import Final

from coolcap_envs.contract.errors import BundleError
from coolcap_envs.contract.policy import Policy, PolicyBundle, RulePolicy
from coolcap_envs.episode import Days
from coolcap_training.checkpoint import CHECKPOINT, Checkpoint
from coolcap_training.evaluate import Report, evaluate
from coolcap_training.export import export
from coolcap_training.train import RUN

VALIDATION_SEED: Final = 8_001
VALIDATION_MISMATCHES: Final = (0.0, 1.0)
"""A policy is validated on nominal plants and on plants of the full ranges."""


def default_bundle() -> Path:
    """Return the folder of the bundle that comes with the package."""
    return Path(str(resources.files("coolcap_envs") / "bundles" / "default"))


def open_policy(name: str) -> Policy:
    """Return the policy ``rule``, the shipped bundle ``default``, or a bundle's folder.

    Raises:
        BundleError: If there is no bundle in the folder, or it cannot be used.
    """
    if name == "rule":
        return RulePolicy()
    return PolicyBundle.load(default_bundle() if name == "default" else Path(name))


def _metrics(report: Report) -> dict[str, object]:
    """Return what a manifest keeps of a validation: differences to the rule with intervals."""
    (against_rule,) = report.comparisons
    shown = {**against_rule.relative, **against_rule.absolute}
    return {
        name: [round(value, 5) for value in (d.mean, d.low, d.high)] for name, d in shown.items()
    }


def release(run: Path, folder: Path, *, name: str, scenario_count: int) -> PolicyBundle:
    """Export the policy of a run with what it did on days of validation.

    Args:
        run: Folder of a run, as :func:`coolcap_training.train.train` leaves it.
        folder: Where the bundle goes.
        name: Name decisions are logged under.
        scenario_count: Validation scenarios per site and mismatch; 0 for none.

    Raises:
        BundleError: If the run cannot be read, or ONNX Runtime and torch differ.
    """
    try:
        training: dict[str, object] = json.loads((run / RUN).read_text(encoding="utf-8"))
        checkpoint = Checkpoint.load(run / CHECKPOINT)
    except (OSError, ValueError) as error:
        raise BundleError(f"{run}: is no finished run: {error}; train first") from error
    sites = training["sites"]
    names = tuple(sites) if isinstance(sites, dict) else ()

    def write(metrics: dict[str, object]) -> PolicyBundle:
        return export(
            checkpoint.new_policy(),
            folder,
            name=name,
            sites=names,
            training=training,
            metrics=metrics,
            novelty=checkpoint.new_novelty(),
        )

    bundle = write({})
    if not scenario_count:
        return bundle
    metrics: dict[str, object] = {
        f"{site}, mismatch {mismatch:g}": _metrics(
            evaluate(
                bundle,
                site,
                scenario_count=scenario_count,
                references=("rule",),
                days=Days.VALIDATION,
                seed=VALIDATION_SEED,
                randomise_ratio=mismatch,
            )
        )
        for site in names
        for mismatch in VALIDATION_MISMATCHES
    }
    return write({"against": "rule", "mean, low, high": metrics})
