"""Each fault once, on one protocol each: `make campaign-plant` plays all of them on all four.

Real processes, sockets and clocks; the counts are those the campaign prints.
"""

from pathlib import Path

import pytest

from coolcap_agent import certs
from support.plant_campaign.run import build_clock_shim, play
from support.plant_campaign.scenarios import SCENARIOS

PROTOCOLS = ("bacnet", "modbus", "redfish", "opcua")
PLAYED = [(name, PROTOCOLS[k % len(PROTOCOLS)]) for k, name in enumerate(SCENARIOS)]


@pytest.fixture(scope="module")
def clock_shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_clock_shim(tmp_path_factory.mktemp("shim"))


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "protocol"), PLAYED)
def test_agent_keeps_limits_and_slew_and_hands_back_what_is_its_own(
    scenario: str, protocol: str, tmp_path: Path, pki: certs.Pki, clock_shim: Path
) -> None:
    count = play(
        scenario, protocol, tmp_path / "rig", pki, calm_s=0.5, fault_s=1.0, clock_shim=clock_shim
    )

    assert count.changes > 0
    assert (count.outside, count.leaps) == (0, 0), count.worst
    assert count.foreign_kept == count.foreign
    assert count.audited >= count.applied
