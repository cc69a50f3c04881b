"""The development PKI: right contents, private keys, nothing overwritten by accident."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coolcap_agent import certs
from coolcap_agent.rpc.roles import Role
from coolcap_envs.contract.errors import ConfigError

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "pki"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_set_has_a_certificate_and_a_key_for_each_name(directory: Path) -> None:
    pki = certs.make_pki(directory, agents=["node-01", "plant"])

    names = ("node-01", "plant", "control", "operator", "viewer")
    assert names == pki.names
    assert {f"{n}.{end}" for n in (*names, "ca") for end in ("crt", "key")} == {
        *contents(directory)
    }


def test_keys_and_directory_are_private(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"])

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in directory.glob("*.key")}


def test_names_roles_and_dates_are_as_asked(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], days=7, now=NOW)

    reports = {report.path.stem: report for report in certs.check(directory, now=NOW)}

    assert {name: (report.dns, report.roles) for name, report in reports.items()} == {
        "ca": ((), ()),
        "control": (("control", "localhost"), (Role.CONTROL,)),
        "node-01": (("node-01", "localhost"), ()),
        "operator": (("operator",), (Role.CONTROL,)),
        "viewer": (("viewer",), (Role.READ,)),
    }
    assert reports["node-01"].end_time == NOW + 7 * DAY
    assert {()} == {report.problems for report in reports.values()}


def test_default_life_is_90_days(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], now=NOW)

    assert certs.check(directory / "node-01.crt", now=NOW)[0].end_time == NOW + 90 * DAY


def test_further_hosts_of_a_server_are_in_its_certificate(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], hosts={"node-01": ["gpu1.example", "10.0.0.7"]})

    assert certs.check(directory / "node-01.crt")[0].dns == ("node-01", "localhost", "gpu1.example")


def test_nothing_is_overwritten_without_being_told(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"])
    before = contents(directory)

    with pytest.raises(ConfigError) as caught:
        certs.make_pki(directory, agents=["node-01", "node-02"], operators=(), viewers=())

    assert caught.value.problems == (
        "node-01.crt exists; allow overwriting, or use another directory",
        "node-01.key exists; allow overwriting, or use another directory",
        "control.crt exists; allow overwriting, or use another directory",
        "control.key exists; allow overwriting, or use another directory",
    )
    assert before == contents(directory)


def test_node_is_added_to_a_set_under_the_same_authority(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], now=NOW)
    before = contents(directory)

    certs.make_pki(
        directory, agents=["node-02"], controllers=(), operators=(), viewers=(), now=NOW + DAY
    )

    after = contents(directory)
    assert before.items() <= after.items()
    assert certs.check(directory / "node-02.crt", now=NOW + DAY)[0].problems == ()


def test_overwriting_renews_certificates_and_keeps_the_authority(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], now=NOW)
    before = contents(directory)

    certs.make_pki(directory, agents=["node-01"], now=NOW + 80 * DAY, overwrite=True)

    after = contents(directory)
    assert {"ca.crt", "ca.key"} == {name for name in before if before[name] == after[name]}
    assert certs.check(directory / "node-01.crt", now=NOW + DAY)[0].end_time == NOW + 170 * DAY


def test_certificate_does_not_outlive_its_authority(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], now=NOW)

    certs.make_pki(directory, agents=["node-01"], now=NOW + 700 * DAY, overwrite=True)

    assert certs.check(directory / "node-01.crt", now=NOW)[0].end_time == NOW + 730 * DAY


def test_expired_authority_issues_nothing(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], now=NOW)

    with pytest.raises(ConfigError, match=r"ca\.crt has expired"):
        certs.make_pki(directory, agents=["node-02"], overwrite=True, now=NOW + 731 * DAY)

    assert not (directory / "node-02.crt").exists()


def test_authority_without_its_key_issues_nothing(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"])
    (directory / "ca.key").unlink()

    with pytest.raises(ConfigError, match=r"ca\.key: No such file"):
        certs.make_pki(directory, agents=["node-02"], overwrite=True)


def test_authority_with_another_key_issues_nothing(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"])
    (directory / "ca.key").write_bytes((directory / "node-01.key").read_bytes())

    with pytest.raises(ConfigError, match="certificate and key do not belong together"):
        certs.make_pki(directory, agents=["node-02"], overwrite=True)


def test_every_problem_of_a_request_is_reported_and_nothing_written(directory: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        certs.make_pki(
            directory,
            agents=["Node", "../x", "ca", "control"],
            hosts={"node-09": ["a"]},
            days=366,
        )

    rule = (
        "is not allowed: lower-case letters, digits, '.' and '-', at most 63, and not 'ca' "
        "(it becomes a DNS name and a file name)"
    )
    assert (
        f"name 'Node' {rule}",
        f"name '../x' {rule}",
        f"name 'ca' {rule}",
        "name 'control' is asked for twice; each process and person needs its own",
        "hosts are given for 'node-09', which is no name",
        "days = 366 is outside 1 to 365 days",
    ) == caught.value.problems
    assert not directory.exists()


def test_check_reports_what_is_wrong_with_each_certificate(directory: Path) -> None:
    certs.make_pki(directory, agents=["node-01"], now=NOW)
    (directory / "viewer.key").unlink()
    (directory / "node-01.crt").write_text("spoiled")

    reports = {r.path.stem: r.problems for r in certs.check(directory, now=NOW)}

    assert {
        "ca": (),
        "control": (),
        "node-01": (f"{directory / 'node-01.crt'} holds no certificate in PEM form",),
        "operator": (),
        "viewer": (f"key {directory / 'viewer.key'} cannot be read: No such file or directory",),
    } == reports


def test_check_of_nothing_says_how_to_get_something(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no certificate \(\*\.crt\); make some by"):
        certs.check(tmp_path)
