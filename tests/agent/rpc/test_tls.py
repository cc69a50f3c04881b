"""An unusable identity gives one message with every problem: file, dates, what to do."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.tls import TlsFiles, load_tls
from coolcap_envs.contract.errors import ConfigError

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def copied(tmp_path: Path) -> certs.Pki:
    """A set made at ``NOW`` that a test may spoil."""
    return certs.make_pki(tmp_path / "pki", agents=["node-01", "node-02"], days=30, now=NOW)


def problems(
    files: TlsFiles, *, now: datetime = NOW, name: str = "", usages: tuple[Usage, ...] = ()
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_tls(files, usages=usages, name=name, now=now)
    return caught.value.problems


def test_good_identity_is_loaded_with_its_names_and_end(copied: certs.Pki) -> None:
    tls = load_tls(copied.files("node-01"), usages=(Usage.SERVER,), name="node-01", now=NOW)

    assert tls.names.dns == ("node-01", "localhost")
    assert tls.end_time == NOW + 30 * DAY


def test_key_never_shows_in_logs(copied: certs.Pki) -> None:
    assert "PRIVATE" not in repr(load_tls(copied.files("node-01"), usages=(), now=NOW))


def test_expired_certificate_is_refused_with_dates_and_advice(copied: certs.Pki) -> None:
    files = copied.files("node-01")

    assert (
        f"certificate {files.certificate} has expired (valid from 2030-01-31 11:55 UTC to "
        "2030-03-02 12:00 UTC, now is 2030-03-03 12:00 UTC); renew it, for example by "
        "`coolcap certs`",
    ) == problems(files, now=NOW + 31 * DAY)


def test_certificate_that_is_not_valid_yet_points_to_the_clock(copied: certs.Pki) -> None:
    files = copied.files("node-01")
    span = "valid from 2030-01-31 11:55 UTC to"

    found = problems(files, now=NOW - DAY)

    assert len(found) == 2
    for problem, path in zip(found, (files.ca, files.certificate), strict=True):
        assert problem.startswith(f"certificate {path} is not valid yet ({span}")
        assert problem.endswith("check this machine's clock")


def test_key_of_another_certificate_is_refused(copied: certs.Pki) -> None:
    files = copied.files("node-01")
    shutil.copy(copied.files("node-02").key, files.key)

    assert (
        f"key {files.key} does not belong to certificate {files.certificate}; they must be made "
        "together",
    ) == problems(files)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o620, 0o777])
def test_key_that_others_can_use_is_refused(copied: certs.Pki, mode: int) -> None:
    files = copied.files("node-01")
    files.key.chmod(mode)

    assert (
        f"key {files.key} can be used by others (mode {mode:03o}; allowed are 600, 400, 640 and "
        f"440): run `chmod 600 {files.key}`, and replace the key if others may have read it",
    ) == problems(files)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_key_for_owner_and_group_is_accepted(copied: certs.Pki, mode: int) -> None:
    files = copied.files("node-01")
    files.key.chmod(mode)

    assert load_tls(files, usages=(), now=NOW)


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    files = TlsFiles(certificate=tmp_path / "a.crt", key=tmp_path / "a.key", ca=tmp_path / "ca")

    assert (
        f"certificate {files.certificate} cannot be read: No such file or directory",
        f"key {files.key} cannot be read: No such file or directory",
        f"certificate authority {files.ca} cannot be read: No such file or directory",
    ) == problems(files)


def test_files_with_other_content_are_all_named(copied: certs.Pki) -> None:
    files = copied.files("node-01")
    files.certificate.write_text("hello")
    files.key.write_text("")

    assert (
        f"key {files.key} is empty",
        f"{files.certificate} holds no certificate in PEM form",
    ) == problems(files)


def test_key_file_without_a_key_is_refused(copied: certs.Pki) -> None:
    files = copied.files("node-01")
    files.key.write_text("hello")

    assert (f"key {files.key} is not an unencrypted private key in PEM form",) == problems(files)


def test_certificate_of_another_authority_is_refused(copied: certs.Pki, tmp_path: Path) -> None:
    other = certs.make_pki(tmp_path / "other", agents=["node-01"], now=NOW)
    files = copied.files("node-01")
    mixed = TlsFiles(certificate=files.certificate, key=files.key, ca=other.files("node-01").ca)

    assert (
        f"certificate {files.certificate} is not issued by a certificate authority in {mixed.ca}; "
        "use the ca.crt of the same set",
    ) == problems(mixed)


def test_authority_file_may_hold_old_and_new_authority(copied: certs.Pki, tmp_path: Path) -> None:
    """
    Authorities are replaced by trusting both for a while.
    """
    other = certs.make_pki(tmp_path / "other", agents=["node-01"], now=NOW)
    files = copied.files("node-01")
    files.ca.write_bytes(other.files("node-01").ca.read_bytes() + files.ca.read_bytes())

    assert load_tls(files, usages=(), now=NOW)


def test_certificate_for_another_node_is_refused(copied: certs.Pki) -> None:
    files = copied.files("node-01")

    assert (
        f"certificate {files.certificate} is for node-01, localhost (DNS names in its subject "
        "alternative name), not for 'node-02'; make one for that name, or correct the id",
    ) == problems(files, name="node-02")


def test_certificate_for_the_other_end_is_refused(copied: certs.Pki) -> None:
    files = copied.files("viewer")

    assert (
        f"certificate {files.certificate} is not made for a server (its extended key usage lacks "
        "server authentication); use another one",
    ) == problems(files, usages=(Usage.SERVER,))


def test_controller_is_server_and_client(copied: certs.Pki) -> None:
    assert load_tls(copied.files("control"), usages=(Usage.SERVER, Usage.CLIENT), now=NOW)


def test_message_begins_with_the_origin(tmp_path: Path) -> None:
    files = TlsFiles(certificate=tmp_path / "a.crt", key=tmp_path / "a.key", ca=tmp_path / "ca")

    with pytest.raises(ConfigError, match=r"^node\.toml \[tls\]: certificate "):
        load_tls(files, usages=(), origin="node.toml [tls]")
