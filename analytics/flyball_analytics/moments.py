"""Moments and spans as text: what a metric export writes, and what a person reads.

Inside flyball a time is epoch seconds (UTC). This module is the one place where
text becomes such a number and back. It never asks what time it is now.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

# Recorded metrics of the services we know lie between these years. Outside them a
# number is a unit mistake (microseconds, a date without dashes), never a moment.
EARLIEST_S = 946_684_800.0  # 2000-01-01T00:00:00Z
LATEST_S = 4_102_444_800.0  # 2100-01-01T00:00:00Z
_SLASHED = re.compile(r"^(\d{4})/(\d{2})/(\d{2})")
_SPAN = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)?$")
_UNIT_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


class MomentError(ValueError):
    """Text that is no moment or span; `bound` says what would be, `remedy` what to do."""

    def __init__(self, text: str, *, bound: str, remedy: str) -> None:
        super().__init__(f"{text!r} is not {bound}: {remedy}")
        self.text = text
        self.bound = bound
        self.remedy = remedy


def parse_moment(text: str) -> float:
    """Return the epoch seconds that `text` names; a time without a zone is UTC.

    Accepts ISO 8601 (with or without zone, `T` or a space, `-` or `/` in the
    date), epoch seconds and epoch milliseconds. Numbers are told apart by size.

    Raises:
        MomentError: If it is none of these, or not between the years 2000 and 2100.

    >>> parse_moment("2023-08-21 09:50:00") == parse_moment("1692611400") == parse_moment("1692611400000")
    True
    >>> parse_moment("2023-08-21T11:50:00+02:00")
    1692611400.0
    """
    stripped = text.strip()
    moment_s = _number(stripped)
    if moment_s is None:
        try:
            moment = datetime.fromisoformat(_SLASHED.sub(r"\1-\2-\3", stripped))
        except ValueError:
            raise MomentError(
                text,
                bound="a moment: ISO 8601, epoch seconds or epoch milliseconds",
                remedy="write it like 2023-08-21T09:50:00Z",
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment_s = moment.timestamp()
    if not EARLIEST_S <= moment_s < LATEST_S:
        raise MomentError(
            text,
            bound="a moment between the years 2000 and 2100",
            remedy="write ISO 8601, epoch seconds or epoch milliseconds",
        )
    return moment_s


def _number(text: str) -> float | None:
    """Return epoch seconds if `text` is a plain number, else None; sizes above any epoch second are ms."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number / 1_000.0 if number >= LATEST_S else number


def parse_span(text: str) -> float:
    """Return the seconds in `text`: a number with s, m, h, d or w; without a unit, seconds.

    Raises:
        MomentError: If it is no positive span.

    >>> parse_span("5m"), parse_span("90")
    (300.0, 90.0)
    """
    match = _SPAN.match(text.strip())
    span_s = float(match[1]) * _UNIT_S[match[2] or "s"] if match else 0.0
    if span_s <= 0.0:
        raise MomentError(text, bound="a span greater than 0", remedy="write it like 60s, 5m, 1h or 2d")
    return span_s


def utc(moment_s: float) -> str:
    """Return a moment as ISO 8601 in UTC, to the second.

    >>> utc(1692611400.0)
    '2023-08-21T09:50:00Z'
    """
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_words(span_s: float) -> str:
    """Return a span in the largest unit that reads well, one decimal at most.

    >>> span_words(45), span_words(300), span_words(5400), span_words(200_000)
    ('45 s', '5 min', '1.5 h', '2.3 d')
    """
    for unit_s, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if span_s >= unit_s * (2.0 if unit == "d" else 1.0):
            return f"{round(span_s / unit_s, 1):g} {unit}"
    return f"{round(span_s, 1):g} s"
