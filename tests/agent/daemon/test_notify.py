"""What systemd is told, by its own protocol."""

import socket
from pathlib import Path

import pytest

from coolcap_agent.daemon.notify import notify, watchdog_period_s


def test_state_is_sent_to_the_socket_of_the_service_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0coolcap-test-notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "@coolcap-test-notify")
        notify("WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


def test_nothing_happens_outside_systemd_or_when_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "period_s"),
    [("10000000", "", 5.0), ("10000000", "1", None), ("", "", None), ("x", "", None)],
)
def test_watchdog_is_fed_at_half_its_time_if_it_is_ours(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, period_s: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    else:
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

    assert period_s == watchdog_period_s()
