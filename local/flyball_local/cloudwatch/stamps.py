"""How CloudWatch writes times: four formats, all UTC, from epoch seconds.

Alarm payloads use an offset without a colon and milliseconds, envelopes a Z and
seconds, reasons a two-digit day-first date. Parsers break on exactly these.
"""

from __future__ import annotations

from datetime import UTC, datetime


def _utc(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, tz=UTC)


def millis(at_s: float) -> int:
    """Return whole epoch milliseconds, to the nearest.

    >>> millis(1.0016)
    1002
    """
    return round(at_s * 1000)


def offset_stamp(at_s: float) -> str:
    """Return the form inside alarm payloads.

    >>> offset_stamp(1570035880.989)
    '2019-10-02T17:04:40.989+0000'
    """
    whole_s, rest_ms = divmod(millis(at_s), 1000)
    return f"{_utc(whole_s):%Y-%m-%dT%H:%M:%S}.{rest_ms:03d}+0000"


def zulu_stamp(at_s: float, *, with_millis: bool = False) -> str:
    """Return the form of envelopes: EventBridge writes seconds, SNS milliseconds.

    >>> zulu_stamp(1570035880.989), zulu_stamp(1570035880.989, with_millis=True)
    ('2019-10-02T17:04:40Z', '2019-10-02T17:04:40.989Z')
    """
    if with_millis:
        return offset_stamp(at_s).replace("+0000", "Z")
    return f"{_utc(int(at_s)):%Y-%m-%dT%H:%M:%SZ}"


def reason_stamp(at_s: float) -> str:
    """Return the form inside state reasons, day first.

    >>> reason_stamp(1570035540)
    '02/10/19 16:59:00'
    """
    return f"{_utc(at_s):%d/%m/%y %H:%M:%S}"


def long_stamp(at_s: float) -> str:
    """Return the form in composite alarms' reasons (English names whatever the locale).

    >>> long_stamp(1658527156)
    'Friday 22 July, 2022 21:59:16 UTC'
    """
    at = _utc(int(at_s))
    return f"{_DAYS[at.weekday()]} {at.day:02d} {_MONTHS[at.month - 1]}, {at:%Y %H:%M:%S} UTC"


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
