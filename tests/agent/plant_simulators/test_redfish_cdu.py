"""What the service refuses, asked with a plain HTTP client."""

from collections.abc import Iterator

import httpx
import pytest

from coolcap_agent.plant_simulators.hall import FirstOrderHall
from coolcap_agent.plant_simulators.redfish_cdu import PASSWORD, UNIT, USERNAME, RedfishCdu

CONTROL = f"{UNIT}/Controls/supply_air_temp_setpoint_c"


@pytest.fixture(scope="module")
def cdu() -> Iterator[RedfishCdu]:
    with RedfishCdu(FirstOrderHall()) as cdu:
        yield cdu


@pytest.fixture
def http(cdu: RedfishCdu) -> Iterator[httpx.Client]:
    url = f"http://{cdu.host}:{cdu.port}"
    with httpx.Client(base_url=url, auth=(USERNAME, PASSWORD), verify=False) as http:
        yield http


def message_id(answer: httpx.Response) -> str:
    info = answer.json()["error"]["@Message.ExtendedInfo"][0]
    return str(info["MessageId"]).rpartition(".")[2]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"SetPoint": 900}', "PropertyValueOutOfRange"),
        ('{"SetPoint": "22"}', "PropertyValueTypeError"),
        ('{"SetPoint": true}', "PropertyValueTypeError"),
        ('{"SetPoint": NaN}', "MalformedJSON"),
        ('{"SetPoint": 1e999}', "PropertyValueOutOfRange"),
        ('{"SetPoint": 22, "Setpoint": 22}', "PropertyUnknown"),
        ('{"AllowableMax": 99}', "PropertyNotWritable"),
        ('{"ControlMode": "Turbo"}', "PropertyValueNotInList"),
        ("[22]", "MalformedJSON"),
        ("22", "MalformedJSON"),
        ("{}", "MalformedJSON"),
    ],
)
def test_bad_change_is_refused_as_a_whole(http: httpx.Client, body: str, said: str) -> None:
    etag = http.get(CONTROL).headers["etag"]

    answer = http.patch(CONTROL, content=body, headers={"If-Match": etag})

    assert (answer.status_code, message_id(answer)) == (400, said)
    assert http.get(CONTROL).json()["SetPoint"] == 20.0


@pytest.mark.parametrize(("headers", "status"), [({}, 428), ({"If-Match": 'W/"0"'}, 412)])
def test_change_without_the_present_etag_is_refused(
    http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = http.patch(CONTROL, json={"SetPoint": 22.0}, headers=headers)

    assert answer.status_code == status
    assert http.get(CONTROL).json()["SetPoint"] == 20.0


def test_sensor_cannot_be_written(http: httpx.Client) -> None:
    answer = http.patch(f"{UNIT}/Sensors/0", json={"Reading": 22.0}, headers={"If-Match": "*"})

    assert answer.status_code == 405


def test_good_change_has_a_new_etag_and_an_effect(cdu: RedfishCdu, http: httpx.Client) -> None:
    etag = http.get(CONTROL).headers["etag"]

    answer = http.patch(CONTROL, json={"SetPoint": 22.0}, headers={"If-Match": etag})

    assert answer.status_code == 204
    assert answer.headers["etag"] == http.get(CONTROL).headers["etag"] != etag
    assert isinstance(cdu.hall, FirstOrderHall)
    assert cdu.hall.written["supply_air_temp_setpoint_c"] == 22.0
    cdu.put("supply_air_temp_setpoint_c", 20.0)


def test_stranger_gets_nothing(cdu: RedfishCdu) -> None:
    answer = httpx.get(f"http://{cdu.host}:{cdu.port}{CONTROL}", verify=False)

    assert answer.status_code == 401


def test_set_mode_is_counted(cdu: RedfishCdu, http: httpx.Client) -> None:
    before = cdu.set_mode_count

    http.post(f"{UNIT}/Actions/CoolingUnit.SetMode", json={"Mode": "Disabled"})

    assert cdu.set_mode_count == before + 1
