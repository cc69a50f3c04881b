"""A process that may not set limits is told which right it lacks."""

import os
from pathlib import Path

import pytest

from coolcap_agent.drivers.nvml_rights import foreign_managers, missing_right, rights_report


def status(folder: Path, effective: str) -> Path:
    path = folder / "status"
    path.write_text(f"Name:\tcoolcap\nCapEff:\t{effective}\nThreads:\t1\n")
    return path


def test_full_capabilities_and_no_device_node_lack_nothing(tmp_path: Path) -> None:
    assert not missing_right(
        status=status(tmp_path, "000001ffffffffff"), device_node=tmp_path / "none"
    )


def test_missing_capability_is_named_with_what_to_do(tmp_path: Path) -> None:
    """
    What a container without --cap-add has.
    """
    why = missing_right(status=status(tmp_path, "00000000a80425fb"), device_node=tmp_path / "none")

    assert "needs CAP_SYS_ADMIN" in why
    assert "CapEff 00000000a80425fb" in why
    assert "--cap-add=SYS_ADMIN" in why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_device_node_of_somebody_else_is_named(tmp_path: Path) -> None:
    """
    What a user namespace that maps root away shows.
    """
    node = tmp_path / "nvidiactl"
    node.touch()
    os.chown(node, 65534, 65534)

    why = missing_right(status=status(tmp_path, "000001ffffffffff"), device_node=node)

    assert "belongs to uid 65534" in why
    assert "run the agent on the host" in why


def test_system_that_tells_no_capabilities_is_given_the_benefit_of_the_doubt(
    tmp_path: Path,
) -> None:
    assert not missing_right(status=tmp_path / "none", device_node=tmp_path / "none")


def test_program_that_may_change_limits_is_named(tmp_path: Path) -> None:
    for pid, name in (("12", "nv-hostengine"), ("13", "bash"), ("14", "nvidia-pstated")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(f"{name}\n")
    (tmp_path / "15").mkdir()  # ended while we looked

    found = foreign_managers(tmp_path)

    assert [text.split(":")[0] for text in found] == ["nv-hostengine", "nvidia-pstated"]


def test_report_names_capability_owner_and_what_is_missing(tmp_path: Path) -> None:
    status, node = tmp_path / "status", tmp_path / "nvidiactl"
    status.write_text("Name:\tx\nCapEff:\t0000000000000000\n")
    node.touch()

    report = rights_report(status=status, device_node=node, proc=tmp_path)

    assert report["cap_sys_admin"] is False
    assert report["device_node_owner_uid"] == node.stat().st_uid
    assert "CAP_SYS_ADMIN" in str(report["missing"])
    assert report["foreign_managers"] == []
