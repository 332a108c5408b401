"""Which header words mean what."""

from __future__ import annotations

import pytest

from flyball_analytics.columns import Field, resolve_columns
from flyball_analytics.problems import SeriesError


def resolve(header: str, **mapping: str):
    """Resolve a comma-separated header."""
    return resolve_columns(header.split(","), path="pay.csv", line=1, mapping=mapping)


def test_the_client_metric_names_are_understood() -> None:
    """What flyball emits can be replayed without any mapping."""
    columns = resolve(
        "timestamp,requests,first_attempt_failures,attempts,retries,timeouts,throttles,errors_fast,"
        "errors_permanent,request_failures,short_circuited,fallbacks"
    )
    assert columns.name(Field.ERRORS) == "first_attempt_failures"
    assert columns.unused == ("fallbacks",)


def test_words_are_compared_without_case_spaces_or_hyphens() -> None:
    """Spreadsheets capitalise."""
    columns = resolve("Timestamp,Request Count,Error-Rate")
    assert columns.name(Field.REQUESTS) == "Request Count"
    assert columns.name(Field.ERROR_RATIO) == "Error-Rate"


def test_counts_win_over_a_ratio_that_repeats_them() -> None:
    """Errors are exact; the ratio beside them is the same number rounded."""
    assert resolve("timestamp,value,requests,errors").unused == ("value",)


def test_a_ratio_stays_the_total_beside_the_classes() -> None:
    """With time-outs alone the ratio is the only total there is."""
    assert Field.ERROR_RATIO in resolve("timestamp,value,requests,timeouts").position


def test_milliseconds_win_over_seconds() -> None:
    """Both mean the same latency."""
    assert resolve("timestamp,requests,errors,latency_p99_ms,latency_p99_s").unused == ("latency_p99_s",)


def test_a_mapping_wins_over_the_default_words() -> None:
    """The caller knows the file better than the vocabulary."""
    columns = resolve("when,calls,bad,requests", timestamp="when", requests="calls", errors="bad")
    assert columns.name(Field.REQUESTS) == "calls"
    assert columns.unused == ("requests",)


@pytest.mark.parametrize(
    ("header", "mapping", "words"),
    [
        (
            "timestamp,reqests,errors",
            {},
            ["no column for requests", "did you mean 'requests'", "timestamp, reqests, errors"],
        ),
        ("timestamp,requests", {}, ["no column for errors or error_ratio", "--column errors="]),
        ("a,b", {}, ["no column for timestamp", "a, b"]),
        (
            "timestamp,requests,errors,failures",
            {},
            ["'errors' and 'failures' both mean errors", "--column errors=failures"],
        ),
        (
            "timestamp,requests,errors",
            {"reqests": "requests"},
            ["unknown field 'reqests'", "did you mean 'requests'"],
        ),
        ("timestamp,requests,errors", {"timeouts": "timeout"}, ["no column 'timeout' for field timeouts"]),
    ],
)
def test_an_unusable_header_says_what_was_found_and_what_to_do(header, mapping, words) -> None:
    """A wrong file is the commonest mistake; the answer must be in the message."""
    with pytest.raises(SeriesError) as caught:
        resolve(header, **mapping)
    for word in ["pay.csv:1:", *words]:
        assert word in str(caught.value)
    assert caught.value.found == tuple(header.split(","))
