"""What can become of one write to one device; the API's ``Outcome``, documented there."""

from enum import StrEnum


class Outcome(StrEnum):
    """Result of one write to one device."""

    UNSPECIFIED = "unspecified"
    APPLIED = "applied"
    CLAMPED = "clamped"
    UNCHANGED = "unchanged"
    REFUSED_OUT_OF_RANGE = "refused_out_of_range"
    REFUSED_NOT_COMMANDABLE = "refused_not_commandable"
    REFUSED_UNKNOWN_DEVICE = "refused_unknown_device"
    READ_ONLY = "read_only"
    DEVICE_ERROR = "device_error"
    DEVICE_UNREACHABLE = "device_unreachable"
    TIMED_OUT = "timed_out"
    NOT_VERIFIED = "not_verified"
    OVERRIDDEN = "overridden"
    RESTORED = "restored"
    RESTORING = "restoring"
