"""Fitting the generator of work to recordings: what it prints, and the profile it writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.site import load_site
from coolcap_envs.workload.alibaba import read_gpu_counts, read_jobs
from coolcap_envs.workload.azure import read_requests
from coolcap_envs.workload.demand import class_table
from coolcap_envs.workload.profile import with_profile
from coolcap_envs.workload.statistics import Course, arrivals, fit_jobs, fit_requests, generated

REQUESTS: Final = Path("workload") / "AzureLLMInferenceTrace_code.csv"
JOBS: Final = Path("workload") / "v2023_openb_pod_list_default.csv"
NODES: Final = Path("workload") / "v2023_openb_node_list_gpu_node.csv"
"""Where the recordings lie in the folder of reference data."""

_OF_REQUESTS: Final = "fitted to requests of a service, Azure LLM inference trace 2023 (code)"
_OF_JOBS: Final = "fitted to jobs of a cluster, Alibaba cluster-trace-gpu-v2023"
_PREFILL_SHARE: Final = 1.0 / 3.0
"""Of the GPU time that serves; the recording of jobs does not tell the two apart. Assumption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFit:
    """What recordings say, and how well the generator says the same.

    Attributes:
        profile: Fitted parameters by class, each with its source.
        courses: Statistics of each class's course: ``recorded``, ``site`` and ``fitted``.
        arrivals: How jobs arrive and how unequal they are.
        gpu_count: GPUs of the recorded cluster, 0 if unknown.
        notes: What was left out of the recordings.
    """

    profile: Mapping[str, Mapping[str, tuple[float, str]]]
    courses: Mapping[str, Mapping[str, Course]]
    arrivals: Mapping[str, float]
    gpu_count: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as one object."""
        return {
            "profile": {
                name: {key: {"value": v, "source": s} for key, (v, s) in values.items()}
                for name, values in self.profile.items()
            },
            "courses": {
                name: {who: course.items() for who, course in courses.items()}
                for name, courses in self.courses.items()
            },
            "arrivals": dict(self.arrivals),
            "gpu_count": self.gpu_count,
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """Return everything as lines for a terminal."""
        lines = [
            f"{name}.{key} = {value:.4g}  ({source})"
            for name, values in self.profile.items()
            for key, (value, source) in values.items()
        ]
        for name, courses in self.courses.items():
            lines.append(f"\n{name}: load over its mean, steps of 30 s")
            for who, course in courses.items():
                told = ", ".join(f"{key} {value:.2f}" for key, value in course.items().items())
                lines.append(f"  {who:8} {told}")
        told = ", ".join(f"{key} {value:.3g}" for key, value in self.arrivals.items())
        return "\n".join(
            [*lines, f"\njobs, which the generator draws one by one: {told}", *self.notes]
        )

    def to_toml(self) -> str:
        """Return the profile as a file."""
        lines = ["# Written by `coolcap-train workload --write`; what it leaves out is the site's."]
        for name, values in self.profile.items():
            lines += ["", f"[{name}]"]
            lines += [
                f'{key} = {{ value = {value:.4g}, source = "{source}" }}'
                for key, (value, source) in values.items()
            ]
        return "\n".join(lines) + "\n"


def fit_workload(folder: Path, site_name: str) -> WorkloadFit:
    """Fit the generator to the recordings of a folder of reference data.

    Args:
        folder: Where ``REQUESTS`` and ``JOBS`` lie.
        site_name: The site whose other parameters the generator is run with.

    Raises:
        ConfigError: If a recording is missing or wrong.
    """
    problems = [f"has no {name}" for name in (REQUESTS, JOBS) if not (folder / name).is_file()]
    if problems:
        raise ConfigError(str(folder), problems)
    requests, jobs = read_requests(folder / REQUESTS), read_jobs(folder / JOBS)
    of_jobs, of_requests = fit_jobs(jobs), fit_requests(requests)
    serving = of_jobs.pop("decode")
    for name, part in (("prefill", _PREFILL_SHARE), ("decode", 1.0 - _PREFILL_SHARE)):
        of_jobs[name] = {**serving, "share_ratio": part * serving["share_ratio"]}
    profile = {
        name: {key: (value, _OF_JOBS) for key, value in of_jobs.get(name, {}).items()}
        | {key: (value, _OF_REQUESTS) for key, value in of_requests.get(name, {}).items()}
        for name in WORKLOAD_CLASSES
    }
    site = load_site(site_name)
    # The requests cover an hour: no daily course is in them, so none is put beside them.
    still = {name: {**values, "daily_swing_ratio": 0.0} for name, values in site.workload.items()}
    tables = {"site": class_table(still), "fitted": class_table(with_profile(still, of_requests))}
    tokens = {"prefill": requests.context_tokens, "decode": requests.generated_tokens}
    courses = {
        name: {"recorded": Course.of(requests.per_step(counts))}
        | {who: generated(t, WORKLOAD_CLASSES.index(name)) for who, t in tables.items()}
        for name, counts in tokens.items()
    }
    nodes = folder / NODES
    return WorkloadFit(
        profile=profile,
        courses=courses,
        arrivals=arrivals(jobs),
        gpu_count=sum(read_gpu_counts(nodes).values()) if nodes.is_file() else 0,
        notes=jobs.notes,
    )
