"""Kill -9 of agent, controller or both, at random moments: while they start, command or restore."""

import time

from support.campaign.bench import TTL_S, Bench, Process

LONGEST_S = 0.35
"""Latest moment of a kill after the start of its round: past start, first writes and one expiry."""


def kill_round(bench: Bench) -> None:
    """Start what does not run, kill something, and check what it left."""
    if bench.agent is None or bench.agent.ended:
        bench.set_before()
        bench.start_agent(wait=bench.rng.random() < 0.7)
    controller = bench.start_controller()
    time.sleep(bench.rng.uniform(0.0, LONGEST_S))
    victims = bench.rng.choice(["agent", "agent", "controller", "both"])
    if victims in ("controller", "both"):
        controller.kill()
        bench.count("kill -9 of a controller")
    if victims in ("agent", "both"):
        _kill_agent(bench)
    if victims == "agent":
        _restart_under_a_living_controller(bench, controller)
    elif victims == "both":
        # Sometimes it is killed again while it restores.
        if bench.rng.random() < 0.3:
            bench.start_agent(wait=False)
            time.sleep(bench.rng.uniform(0.0, 0.15))
            _kill_agent(bench)
        bench.start_agent()
    bench.check_restored()


def _kill_agent(bench: Bench) -> None:
    assert bench.agent is not None
    bench.agent.kill()
    bench.agent = None
    bench.count("kill -9 of an agent")
    bench.check_frozen()


def _restart_under_a_living_controller(bench: Bench, controller: Process) -> None:
    """The agent restores before the controller gets a lease again, which ends with it."""
    bench.start_agent()
    time.sleep(bench.rng.uniform(0.0, TTL_S))
    controller.kill()
    bench.count("kill -9 of a controller")
