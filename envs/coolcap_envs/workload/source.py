"""Which recording drives a site, by kind and file; opened once, shared by all episodes."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from coolcap_envs.contract.errors import ConfigError
from coolcap_envs.physics.parameters import WORKLOAD_CLASSES
from coolcap_envs.workload.alibaba import read_jobs
from coolcap_envs.workload.azure import read_requests
from coolcap_envs.workload.own_csv import read_own
from coolcap_envs.workload.placement import place
from coolcap_envs.workload.trace import CourseTrace, TableTrace, Trace

if TYPE_CHECKING:
    from coolcap_envs.site import Site

KINDS: Final = ("azure-llm", "alibaba-gpu", "csv")
"""Formats: requests of an LLM service, jobs of a GPU cluster, a table of one's own."""


def split_source(text: str) -> tuple[str, Path]:
    """Return kind and file of ``KIND:FILE``.

    Raises:
        ConfigError: If the kind is unknown.
    """
    kind, found, name = text.partition(":")
    if not found or kind not in KINDS:
        kinds = ", ".join(f"{known}:FILE" for known in KINDS)
        raise ConfigError("trace", [f"= {text!r} is not allowed: one of {kinds} is needed"])
    return kind, Path(name)


@lru_cache(maxsize=8)
def open_trace(text: str, site: "Site") -> Trace:
    """Return the recording ``KIND:FILE`` for a site.

    The load of a recorded service or job is scaled so that its mean is the site's own
    ``load_mean_ratio`` of the class; a table of one's own is taken as it is.

    Raises:
        ConfigError: With every problem of the file at once.
    """
    kind, path = split_source(text)
    if kind == "csv":
        return read_own(path, site.layout, site.gpu_models)
    mean = {name: site.workload[name]["load_mean_ratio"] for name in WORKLOAD_CLASSES}
    if kind == "azure-llm":
        requests = read_requests(path)
        courses = {
            WORKLOAD_CLASSES.index("prefill"): mean["prefill"]
            * requests.per_step(requests.context_tokens),
            WORKLOAD_CLASSES.index("decode"): mean["decode"]
            * requests.per_step(requests.generated_tokens),
        }
        return CourseTrace(courses=courses, groups=site.layout.group_count)
    table: TableTrace = place(
        read_jobs(path),
        group_count=site.layout.group_count,
        load_of_class=np.array([mean[name] for name in WORKLOAD_CLASSES]),
    )
    return table


def check_trace(text: str, site: "Site") -> list[str]:
    """Return every reason why ``text`` cannot drive a site, file named; empty if it can."""
    try:
        open_trace(text, site)
    except ConfigError as error:
        return [f"{error.origin}: {problem}" for problem in error.problems]
    return []
