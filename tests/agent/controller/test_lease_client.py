import pytest

from coolcap_agent.controller.lease_client import LeaseClient
from support.fake_points import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock(100.0)


@pytest.fixture
def client(clock: HandClock) -> LeaseClient:
    return LeaseClient(clock.mono_s)


def grant(client: LeaseClient, *, asked_mono_s: float = 100.0) -> None:
    client.granted(lease_id="a", epoch=3, ttl_s=3.0, asked_mono_s=asked_mono_s)


def test_lease_ends_counted_from_when_it_was_asked_for(
    client: LeaseClient, clock: HandClock
) -> None:
    """The agent counts from later on, so that this end surely lies before the agent's."""
    clock.time_s = 101.0
    grant(client, asked_mono_s=100.0)

    clock.time_s = 102.99
    assert client.live is not None
    clock.time_s = 103.0
    assert client.live is None


def test_renewal_counts_from_when_it_was_sent(client: LeaseClient, clock: HandClock) -> None:
    grant(client)
    clock.time_s = 102.0
    client.renewal_sent()
    clock.time_s = 102.5
    client.renewed(lease_id="a", epoch=3, ttl_s=3.0)

    assert client.remaining_s == pytest.approx(2.5)


def test_answer_about_an_earlier_lease_renews_nothing(
    client: LeaseClient, clock: HandClock
) -> None:
    grant(client)
    clock.time_s = 102.0
    client.renewal_sent()
    client.renewed(lease_id="old", epoch=2, ttl_s=3.0)

    assert client.remaining_s == pytest.approx(1.0)


def test_renewal_is_not_due_again_at_once(client: LeaseClient, clock: HandClock) -> None:
    """Decisions in quick succession would otherwise send one each."""
    assert not client.renewal_due
    grant(client)
    assert not client.renewal_due

    clock.time_s = 100.5
    assert client.renewal_due
    client.renewal_sent()
    assert not client.renewal_due


def test_lost_lease_is_gone_and_sequences_go_on(client: LeaseClient) -> None:
    grant(client)
    first = client.next_sequence()
    client.lost()

    assert client.live is None
    assert client.remaining_s == 0.0
    assert client.next_sequence() == first + 1
