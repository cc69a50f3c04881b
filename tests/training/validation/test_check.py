"""Tests of what a check says."""

import pytest

from coolcap_training.validation.check import Check, Validation, not_run


def _check(value: float | None, target: float | None, *, is_upper: bool = True) -> Check:
    return Check(
        name="a", source="s", metric="m", value=value, target=target, is_upper=is_upper, rows=1
    )


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (_check(1.0, 2.0), "met"),
        (_check(3.0, 2.0), "missed"),
        (_check(1.0, 2.0, is_upper=False), "missed"),
        (_check(3.0, 2.0, is_upper=False), "met"),
        (_check(float("nan"), 2.0), "missed"),
        (_check(1.0, None), "reported"),
        (not_run("a", source="s", metric="m", reason="no data"), "not run"),
    ],
)
def test_status_follows_value_and_target(check: Check, status: str) -> None:
    assert check.status == status


@pytest.mark.parametrize(
    ("checks", "require_data", "code"),
    [
        ([_check(1.0, 2.0), _check(1.0, None)], True, 0),
        ([_check(3.0, 2.0)], False, 1),
        ([_check(None, None)], False, 0),
        ([_check(None, None)], True, 3),
        ([_check(3.0, 2.0), _check(None, None)], True, 1),
    ],
)
def test_exit_code_tells_misses_and_required_data(
    checks: list[Check], require_data: bool, code: int
) -> None:
    validation = Validation(checks=tuple(checks), headroom=(), series={})
    assert validation.exit_code(require_data=require_data) == code
