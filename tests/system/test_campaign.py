"""The campaign against node agents in its short form; `make campaign-node` is the long one."""

from pathlib import Path

import pytest

from support.campaign.__main__ import campaign, kills
from support.campaign.bench import GPU_COUNT, Bench, Broken, bench
from support.campaign.scenarios import SCENARIOS

KILLS = 20


@pytest.mark.slow
def test_nothing_that_breaks_agents_or_controllers_leaves_a_gpu_with_a_foreign_value(
    tmp_path: Path,
) -> None:
    with bench(tmp_path, seed=1) as made:
        campaign(made, kill_count=KILLS, repeats=1)

        assert kills(made) >= KILLS
        assert made.counts["writes checked against the limits"] > KILLS
        assert made.counts["caps checked against the journal of a killed agent"] >= GPU_COUNT
        assert all(made.counts[f"scenario: {name}"] == 1 for name in SCENARIOS)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("idle"), seed=1)
    made.close()
    return made


def test_campaign_notices_a_cap_that_is_not_journaled(idle: Bench) -> None:
    idle.set_before()
    idle.small.hall.table("gpu_control")["power_limit_requested_w"][3] = 200.0

    with pytest.raises(Broken, match="is not journaled"):
        idle.check_frozen()


def test_campaign_notices_a_write_outside_the_limits(idle: Bench) -> None:
    idle.set_before()
    idle.tell_write("power_limit_w", idle.uuids[0], 120.0)

    with pytest.raises(Broken, match="outside every limit"):
        idle.check_writes()


def test_campaign_notices_a_cap_that_does_not_go_back(
    idle: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle.set_before()
    idle.small.hall.table("gpu_control")["power_limit_requested_w"][3] = 200.0
    monkeypatch.setattr("support.campaign.bench.PATIENCE_S", 0.02)

    with pytest.raises(Broken, match="not restored"):
        idle.check_restored()
