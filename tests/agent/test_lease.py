"""One writer at a time, for a time, with an epoch that only grows."""

import os
from pathlib import Path

import pytest

from coolcap_agent.lease import Lease, LeaseKeeper
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2
from support.fake_points import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock(0.0)


def keeper(folder: Path, clock: HandClock) -> LeaseKeeper:
    return LeaseKeeper(
        agent="node-01",
        epoch_path=folder / "epoch",
        ttl_default_s=3.0,
        ttl_max_s=9.0,
        mono_s=clock.mono_s,
    )


@pytest.fixture
def leases(tmp_path: Path, clock: HandClock) -> LeaseKeeper:
    return keeper(tmp_path, clock)


def acquire(leases: LeaseKeeper, holder: str = "control", ttl_s: float | None = None) -> Lease:
    return leases.acquire(holder=holder, instance_id="1", ttl_s=ttl_s)


def require(leases: LeaseKeeper, lease: Lease) -> Lease:
    return leases.require(lease_id=lease.lease_id, epoch=lease.epoch)


@pytest.mark.parametrize(("asked_s", "granted_s"), [(None, 3.0), (1.0, 1.0), (60.0, 9.0)])
def test_agent_grants_at_most_the_time_asked_for(
    leases: LeaseKeeper, asked_s: float | None, granted_s: float
) -> None:
    assert granted_s == acquire(leases, ttl_s=asked_s).ttl_s


def test_lease_lives_until_its_time_is_over_and_not_longer(
    leases: LeaseKeeper, clock: HandClock
) -> None:
    lease = acquire(leases)

    clock.time_s = 2.999
    assert require(leases, lease) == lease
    assert leases.may_write(lease.epoch)

    clock.time_s = 3.0
    assert not leases.may_write(lease.epoch)
    with pytest.raises(RefusedError) as caught:
        require(leases, lease)
    assert caught.value.reason == common_pb2.REFUSAL_REASON_NO_LEASE


def test_renewal_gives_the_full_time_from_now(leases: LeaseKeeper, clock: HandClock) -> None:
    lease = acquire(leases)
    clock.time_s = 2.0

    renewed = leases.renew(lease_id=lease.lease_id, epoch=lease.epoch)

    assert leases.remaining_s(renewed) == 3.0


def test_expired_lease_cannot_be_renewed(leases: LeaseKeeper, clock: HandClock) -> None:
    lease = acquire(leases)
    clock.time_s = 3.0

    with pytest.raises(RefusedError, match="acquire a lease and start again") as caught:
        leases.renew(lease_id=lease.lease_id, epoch=lease.epoch)
    assert caught.value.reason == common_pb2.REFUSAL_REASON_NO_LEASE


def test_same_holder_and_instance_get_the_same_lease_renewed(
    leases: LeaseKeeper, clock: HandClock
) -> None:
    first = acquire(leases)
    clock.time_s = 2.0
    again = acquire(leases)

    assert (again.lease_id, again.epoch) == (first.lease_id, first.epoch)
    assert leases.remaining_s(again) == 3.0


@pytest.mark.parametrize(("holder", "instance_id"), [("other", "1"), ("control", "2")])
def test_second_holder_is_refused_with_the_first_ones_name_and_time(
    leases: LeaseKeeper, clock: HandClock, holder: str, instance_id: str
) -> None:
    acquire(leases)
    clock.time_s = 1.0

    with pytest.raises(RefusedError) as caught:
        leases.acquire(holder=holder, instance_id=instance_id, ttl_s=None)

    assert caught.value.reason == common_pb2.REFUSAL_REASON_LEASE_HELD
    assert "leased to 'control' for another 2.0 s" in str(caught.value)
    assert "try again after that" in str(caught.value)


def test_epoch_grows_with_each_grant_and_older_ones_are_refused(
    leases: LeaseKeeper, clock: HandClock
) -> None:
    first = acquire(leases)
    clock.time_s = 3.0
    second = acquire(leases, "other")

    assert (first.epoch, second.epoch) == (1, 2)
    with pytest.raises(RefusedError, match="stop commanding") as caught:
        require(leases, first)
    assert caught.value.reason == common_pb2.REFUSAL_REASON_STALE_EPOCH


def test_epoch_survives_a_restart_of_the_agent(tmp_path: Path, clock: HandClock) -> None:
    before = acquire(keeper(tmp_path, clock))

    restarted = keeper(tmp_path, clock)
    after = acquire(restarted)

    assert (before.epoch, after.epoch) == (1, 2)
    with pytest.raises(RefusedError) as caught:
        require(restarted, before)
    assert caught.value.reason == common_pb2.REFUSAL_REASON_STALE_EPOCH


def test_damaged_epoch_file_never_leads_to_a_lower_epoch(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "epoch").write_bytes(b"\x00garbage")

    assert acquire(keeper(tmp_path, clock)).epoch > 1_000_000_000


def test_grant_is_refused_when_its_epoch_cannot_be_stored(tmp_path: Path, clock: HandClock) -> None:
    """A folder where the file shall be fails for root as well."""
    leases = LeaseKeeper(
        agent="node-01",
        epoch_path=tmp_path / "gone" / "epoch",
        ttl_default_s=3.0,
        ttl_max_s=9.0,
        mono_s=clock.mono_s,
    )

    with pytest.raises(RefusedError, match="mend the disk") as caught:
        acquire(leases)
    assert caught.value.reason == common_pb2.REFUSAL_REASON_NOT_READY
    assert leases.live() is None


def test_guessed_lease_id_does_not_write(leases: LeaseKeeper) -> None:
    lease = acquire(leases)

    with pytest.raises(RefusedError) as caught:
        leases.require(lease_id="guess", epoch=lease.epoch)
    assert caught.value.reason == common_pb2.REFUSAL_REASON_NO_LEASE


def test_released_lease_is_over_and_releasing_again_changes_nothing(leases: LeaseKeeper) -> None:
    lease = acquire(leases)

    assert leases.release(lease_id=lease.lease_id, epoch=lease.epoch)
    assert not leases.release(lease_id=lease.lease_id, epoch=lease.epoch)
    assert leases.live() is None


def test_late_release_does_not_end_the_lease_of_the_next_holder(
    leases: LeaseKeeper, clock: HandClock
) -> None:
    first = acquire(leases)
    clock.time_s = 3.0
    second = acquire(leases, "other")

    with pytest.raises(RefusedError):
        leases.release(lease_id=first.lease_id, epoch=first.epoch)

    assert leases.live() == second


@pytest.mark.parametrize(
    ("holder", "instance_id", "ttl_s"),
    [("", "1", None), ("control", "", None), ("x" * 257, "1", None), ("control", "1", 0.0)]
    + [("control", "1", value) for value in (-1.0, float("nan"), float("inf"))],
)
def test_unusable_request_is_invalid(
    leases: LeaseKeeper, holder: str, instance_id: str, ttl_s: float | None
) -> None:
    with pytest.raises(RefusedError) as caught:
        leases.acquire(holder=holder, instance_id=instance_id, ttl_s=ttl_s)
    assert caught.value.reason == common_pb2.REFUSAL_REASON_INVALID


def test_epoch_stored_ahead_is_used_by_the_next_grant(tmp_path: Path, clock: HandClock) -> None:
    leases = keeper(tmp_path, clock)
    leases.store_next_epoch()
    leases.store_next_epoch()
    stored = os.stat(tmp_path / "epoch").st_mtime_ns

    assert acquire(leases).epoch == 1
    assert os.stat(tmp_path / "epoch").st_mtime_ns == stored
