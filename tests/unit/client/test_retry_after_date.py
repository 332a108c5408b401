"""Retry-After as an HTTP date: by the answer's own clock if it tells it, else by ours."""

from __future__ import annotations

from email.message import Message
from email.utils import formatdate
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.classify import classify
from flyball.outcome import Outcome
from unit.client.support import World

NOW_S = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def answered(**headers: str) -> Exception:
    error = Exception()
    error.response = SimpleNamespace(
        status_code=503, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return error


@pytest.mark.parametrize(
    "date",
    [
        "Wed, 21 Oct 2015 07:28:07 GMT",
        "Wednesday, 21-Oct-15 07:28:07 GMT",
        "Wed Oct 21 07:28:07 2015",
        "Wed, 21 Oct 2015 09:28:07 +0200",
        "Wed, 21 Oct 2015 07:28:07 -0000",
    ],
)
def test_every_form_of_a_date_is_understood(date):
    """The three of RFC 9110, and what others send: seven seconds from now."""
    assert classify(answered(Retry_After=date), now_s=NOW_S).retry_after_s == 7.0


def test_the_clock_of_the_answer_counts_before_ours():
    """Ours may be an hour off; the two dates of one answer are not."""
    error = answered(Retry_After="Wed, 21 Oct 2015 07:28:07 GMT", Date=DATE)
    assert classify(error, now_s=NOW_S + 3_600.0).retry_after_s == 7.0
    assert classify(error).retry_after_s == 7.0


@pytest.mark.parametrize("date", ["yesterday", "Wed", "x" * 65, ""])
def test_an_answer_with_a_date_that_is_none_is_dated_by_our_clock(date):
    """Headers are input from outside."""
    error = answered(Retry_After="Wed, 21 Oct 2015 07:28:07 GMT", Date=date)
    assert classify(error, now_s=NOW_S).retry_after_s == 7.0


def test_without_any_clock_a_date_is_no_demand():
    """Nothing can be said."""
    assert classify(answered(Retry_After=DATE)).retry_after_s is None


def test_a_date_in_the_past_is_a_demand_of_nothing():
    """The pause is over: the usual wait is enough."""
    assert classify(answered(Retry_After=DATE), now_s=NOW_S + 60.0).retry_after_s == 0.0


def test_the_headers_of_the_standard_library_are_read_too():
    """urllib.error.HTTPError carries a message, whatever the case of the names."""
    headers = Message()
    headers["retry-after"] = "Wed, 21 Oct 2015 07:28:07 GMT"
    headers["date"] = DATE
    error = HTTPError("http://example.invalid", 503, "", headers, None)
    assert classify(error).retry_after_s == 7.0
    error.close()


@pytest.mark.parametrize(
    "text",
    [
        "Wed, 21 Oct",
        "Wed, 21 Foo 2015 07:28:07 GMT",
        "Wed, 21 Oct 99999 07:28:07 GMT",
        "Wed, 99 Oct 99999999999999999999 07:28:07 GMT",
        "soon",
        "Mon" * 30,
        "",
        "-5",
        "1e3",
    ],
)
def test_what_is_no_date_is_no_demand(text):
    """And nothing else of the error is lost."""
    found = classify(answered(Retry_After=text), now_s=NOW_S)
    assert (found.outcome, found.retry_after_s) == (Outcome.ERROR_FAST, None)


@given(
    text=st.text(max_size=70) | st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9:+ -]{0,30}\Z")
)
def test_any_header_gives_seconds_or_nothing(text):
    """Total over whatever a server sends, in either header."""
    for error in (answered(Retry_After=text), answered(Retry_After=DATE, Date=text)):
        after_s = classify(error, now_s=NOW_S).retry_after_s
        assert after_s is None or after_s >= 0.0


@pytest.mark.parametrize("text", ["2500", "Wed, 21 Oct 2015 07:28:07 GMT", "", "9" * 10])
def test_amazons_own_header_is_milliseconds_and_nothing_else(text):
    """It has no form for dates."""
    expected = 2.5 if text == "2500" else None
    assert classify(answered(x_amz_retry_after=text), now_s=NOW_S).retry_after_s == expected


def test_a_guard_waits_until_the_date():
    """Two seconds from now by its own clock, and jitter of 50 ms on top; too long is not waited for."""
    world = World()
    world.clock.set_wall_s(NOW_S)
    dates = [formatdate(NOW_S + seconds, usegmt=True) for seconds in (2.0, 3_600.0)]
    for date, calls in zip(dates, (2, 1), strict=True):
        world.calls.clear()
        script = [answered(Retry_After=date)] * 2
        with pytest.raises(Exception, match=r"^$"):
            world.target().guard(world.function(*script, took_s=0.0))()
        assert len(world.calls) == calls
    assert world.clock.sleeps == [2.05]
