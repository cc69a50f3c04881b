"""Work: what of the offered work is done, what waits, what is lost, and how long requests take.

Work is measured in reference GPU-seconds: what one uncapped GPU does in a second at full demand.
"""

from coolcap_envs.physics.jit import law
from coolcap_envs.physics.lanes import maximum, minimum


@law
def backlog_next_s(
    backlog_s: float, offered_s: float, served_s: float, backlog_max_s: float
) -> tuple[float, float]:
    """Return the work that waits and the work given up, both in reference GPU-seconds.

    Nothing appears or vanishes: ``backlog + offered = served + backlog' + given up``. Work beyond
    ``backlog_max_s`` is given up: requests time out, and training steps not made in time are not
    made (its bound is 0; the run simply takes longer).
    """
    waiting_s = maximum(backlog_s + offered_s - served_s, 0.0)
    kept_s = minimum(waiting_s, backlog_max_s)
    return kept_s, waiting_s - kept_s


@law
def latency_ratio(
    offered_ratio: float,
    throughput: float,
    backlog_s: float,
    design_load_ratio: float,
    target_s: float,
) -> float:
    """Return tail latency over its target, at most 100.

    Queue with random arrivals (M/M/1): time in system is ``1/(mu - lambda)``, any quantile a
    multiple of it. The target is what the uncapped GPU reaches at ``design_load_ratio``, so
    ``L = (1 - rho0)/(mu - lambda)``; work already waiting adds ``backlog/mu`` over ``target_s``.
    Neglected: that batching engines degrade more gently than a single server until they saturate.
    """
    spare = maximum(throughput - offered_ratio, 0.01)
    queue = backlog_s / (throughput * target_s)
    ratio: float = minimum((1.0 - design_load_ratio) / spare + queue, 100.0)
    return ratio
