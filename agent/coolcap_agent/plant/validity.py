"""How far a reading can be trusted."""

from enum import StrEnum


class Validity(StrEnum):
    """Only ``VALID`` may enter control; the API's ``Validity``, documented there."""

    VALID = "valid"
    STALE = "stale"
    OUT_OF_RANGE = "out_of_range"
    STUCK = "stuck"
    IMPLAUSIBLE = "implausible"
    FAULT = "fault"
    NOT_MEASURED = "not_measured"
