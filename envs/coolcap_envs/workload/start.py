"""What work an episode begins with: the site's or another profile, generated or recorded."""

import numpy as np

from coolcap_envs.site import Site
from coolcap_envs.workload.demand import class_table
from coolcap_envs.workload.feed import DemandFeed
from coolcap_envs.workload.profile import Profile, with_profile
from coolcap_envs.workload.source import open_trace
from coolcap_envs.workload.trace import Replay, WideJobs


def start_work(
    feed: DemandFeed,
    member: int,
    site: Site,
    *,
    of_demand: np.random.SeedSequence,
    of_trace: np.random.SeedSequence,
    local_hour: float,
    workload: Profile | None,
    trace: str | None,
) -> None:
    """Begin the work of one plant.

    Args:
        feed: Gets it.
        member: The plant.
        site: Its site.
        of_demand: Randomness of generated work.
        of_trace: Randomness of where a recording begins.
        local_hour: Local hour of the day.
        workload: Parameters in place of the site's.
        trace: Recorded work, ``KIND:FILE``, in place of the site's.

    Raises:
        ConfigError: If a recording is missing or wrong.
    """
    recorded = trace or site.trace
    replay: Replay | None = None
    if recorded is not None:
        replay = open_trace(recorded, site).start(np.random.default_rng(of_trace))
    elif site.groups_per_job > 1:
        replay = WideJobs(site.layout.group_count, groups_per_job=site.groups_per_job)
    feed.start(
        member,
        np.random.default_rng(of_demand),
        local_hour=local_hour,
        table=None if workload is None else class_table(with_profile(site.workload, workload)),
        replay=replay,
    )
