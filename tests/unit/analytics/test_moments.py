"""Text to moments and spans, and back."""

from __future__ import annotations

import pytest

from flyball_analytics.moments import MomentError, parse_moment, parse_span, span_words, utc

NINE_FIFTY_S = 1_692_611_400.0  # 2023-08-21T09:50:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2023-08-21 09:50:00",
        "2023-08-21T09:50:00Z",
        "2023-08-21T11:50:00+02:00",
        "2023/08/21 09:50:00",
        "1692611400",
        "1692611400.0",
        "1692611400000",
        " 2023-08-21 09:50 ",
    ],
)
def test_every_accepted_spelling_names_the_same_moment(text: str) -> None:
    """Exports of different tools must be comparable; a time without a zone is UTC."""
    assert parse_moment(text) == NINE_FIFTY_S


@pytest.mark.parametrize(
    "text", ["", "yesterday", "08/21/2023 09:50", "nan", "-5", "1692611400000000", "20230821"]
)
def test_what_is_no_plausible_moment_is_refused_with_a_remedy(text: str) -> None:
    """A number in microseconds or a compact date must not become a moment of the 1970s."""
    with pytest.raises(MomentError) as caught:
        parse_moment(text)
    assert caught.value.text == text
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "span_s"),
    [("60", 60.0), ("60s", 60.0), ("5m", 300.0), ("5 min", 300.0), ("1.5h", 5400.0), ("1w", 604800.0)],
)
def test_a_span_has_a_unit_or_is_seconds(text: str, span_s: float) -> None:
    """People write 5m; scripts write 300."""
    assert parse_span(text) == span_s


@pytest.mark.parametrize("text", ["0", "-5m", "", "5 fortnights", "m"])
def test_a_span_must_be_positive_and_known(text: str) -> None:
    """A period of 0 would divide by zero far from here."""
    with pytest.raises(MomentError):
        parse_span(text)


def test_moments_and_spans_are_written_as_people_read_them() -> None:
    """One spelling in all output."""
    assert utc(NINE_FIFTY_S) == "2023-08-21T09:50:00Z"
    assert [span_words(s) for s in (0, 59.94, 60, 90, 86_400, 172_800)] == [
        "0 s",
        "59.9 s",
        "1 min",
        "1.5 min",
        "24 h",
        "2 d",
    ]
