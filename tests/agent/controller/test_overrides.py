"""What may be overridden, and to what."""

import pytest

from coolcap_agent.controller.overrides import (
    Override,
    OverrideError,
    UnknownOverrideError,
    check_override,
    of_the_plant,
)
from support.small_site import small_site

SUPPLY = "supply_air_temp_setpoint_c"


def override(subject: str, value: float, *, for_s: float = 600.0) -> Override:
    return Override(
        subject=subject,
        value=value,
        start_time_s=0.0,
        end_time_s=for_s,
        who="operator",
        reason="test",
    )


def refusal(wanted: Override) -> str:
    layout, limits = small_site()
    with pytest.raises(OverrideError) as caught:
        check_override(wanted, layout, limits)
    return str(caught.value)


def test_value_inside_the_limits_is_accepted() -> None:
    layout, limits = small_site()

    check_override(override("node-1/0", 300.0), layout, limits)
    check_override(override(SUPPLY, 21.0), layout, limits)


@pytest.mark.parametrize("value", [5.0, 5000.0, float("nan"), float("inf")])
def test_cap_outside_the_limits_is_refused_with_the_range(value: float) -> None:
    assert "W (limits of site small)" in refusal(override("node-1/0", value))


def test_setpoint_outside_the_limits_is_refused_with_the_range() -> None:
    assert f"override of {SUPPLY} to 40 °C is outside" in refusal(override(SUPPLY, 40.0))


@pytest.mark.parametrize("for_s", [0.0, -1.0, 8 * 86400.0, float("nan")])
def test_span_without_an_end_in_sight_is_refused(for_s: float) -> None:
    assert "(7 days)" in refusal(override("node-1/0", 300.0, for_s=for_s))


@pytest.mark.parametrize("subject", ["node-9", "cdu_flow_setpoint_ratio"])
def test_subject_the_site_lacks_is_named(subject: str) -> None:
    layout, limits = small_site()

    with pytest.raises(UnknownOverrideError, match=f"'{subject}'"):
        check_override(override(subject, 0.5), layout, limits)


def test_plants_override_keeps_the_time_it_was_first_seen() -> None:
    first = of_the_plant({SUPPLY: "slot 8"}, (), time_s=10.0)
    later = of_the_plant({SUPPLY: "slot 8"}, first, time_s=40.0)

    assert [o.start_time_s for o in later] == [10.0]
    assert of_the_plant({}, later, time_s=70.0) == ()
