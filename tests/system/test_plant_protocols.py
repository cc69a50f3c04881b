"""One policy bundle controls one hall through every field protocol, as it does without one."""

from pathlib import Path

import pytest

from coolcap_envs.safety.site_limits import load_site_limits
from support.plant_trajectory import Trajectory, compare, run

DURATION_S = 600.0
INLET_K = 0.2
"""The hall's answer to a setpoint that is one polling period late."""


@pytest.fixture(scope="module")
def directly(tmp_path_factory: pytest.TempPathFactory) -> Trajectory:
    return run("simulated", tmp_path_factory.mktemp("simulated"), duration_s=DURATION_S)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["bacnet", "modbus", "redfish", "opcua"])
def test_trajectories_agree_with_the_direct_driver_within_slew_and_polling_delay(
    protocol: str, directly: Trajectory, tmp_path: Path
) -> None:
    over = run(protocol, tmp_path, duration_s=DURATION_S)

    apart = compare(directly, over, limits=load_site_limits("lab-16")[1])
    moved = {
        lever: max(t[lever] for t in over.values()) - min(t[lever] for t in over.values())
        for lever in apart.of_levers
    }
    assert apart.periods >= DURATION_S / 30.0
    assert max(moved.values()) > 0.0, "nothing was commanded"
    for lever, difference in apart.of_levers.items():
        assert difference <= apart.allowed[lever] + 1e-4, apart
    assert apart.inlet_k <= INLET_K, apart
