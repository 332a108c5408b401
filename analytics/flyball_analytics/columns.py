"""Which column of a file means what: the vocabulary of metric exports.

Knows header words only; never looks at a row. Accepted by default are flyball's
own metric names, the short words people write by hand, and the `value,requests`
layout (error ratio with its count). Anything else is named by the caller with a
mapping, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from flyball.hints import did_you_mean
from flyball_analytics.problems import SeriesError


class Field(StrEnum):
    """What a column can mean. Counts concern one window; failures are first attempts that failed."""

    TIMESTAMP = "timestamp"  # start of the window
    ARRIVED = "arrived"  # when the row could first be read; end of the window if there is no such column
    TARGET = "target"  # rows of other targets are skipped
    REQUESTS = "requests"  # first attempts
    ERRORS = "errors"  # ALL failed first attempts: time-outs, throttles and fast errors together
    ERROR_RATIO = "error_ratio"  # the same as a share of requests, 0..1
    ERROR_PERCENT = "error_percent"  # the same, 0..100
    ERRORS_FAST = "errors_fast"  # failed first attempts that are neither time-outs nor throttles
    TIMEOUTS = "timeouts"
    THROTTLES = "throttles"
    ATTEMPTS = "attempts"  # first attempts and retries
    RETRIES = "retries"
    REQUEST_FAILURES = "request_failures"  # failed after all attempts
    SHORT_CIRCUITED = "short_circuited"
    ERRORS_PERMANENT = "errors_permanent"
    LATENCY_P50_MS = "latency_p50_ms"
    LATENCY_P99_MS = "latency_p99_ms"
    LATENCY_P50_S = "latency_p50_s"
    LATENCY_P99_S = "latency_p99_s"


ALIASES: dict[str, Field] = {
    **{field.value: field for field in Field},
    "time": Field.TIMESTAMP,
    "ts": Field.TIMESTAMP,
    "date": Field.TIMESTAMP,
    "datetime": Field.TIMESTAMP,
    "start": Field.TIMESTAMP,
    "start_s": Field.TIMESTAMP,
    "arrived_s": Field.ARRIVED,
    "arrived_at": Field.ARRIVED,
    "request_count": Field.REQUESTS,
    "invocations": Field.REQUESTS,
    "first_attempt_failures": Field.ERRORS,
    "failures": Field.ERRORS,
    "error_count": Field.ERRORS,
    "value": Field.ERROR_RATIO,
    "error_rate": Field.ERROR_RATIO,
    "latency_ms_p50": Field.LATENCY_P50_MS,
    "latency_ms_p99": Field.LATENCY_P99_MS,
}
# A failure column of some kind is needed; these say how many failed.
FAILURE_FIELDS = (
    Field.ERRORS,
    Field.ERROR_RATIO,
    Field.ERROR_PERCENT,
    Field.ERRORS_FAST,
    Field.TIMEOUTS,
    Field.THROTTLES,
)
RATIO_FIELDS = (Field.ERROR_RATIO, Field.ERROR_PERCENT)
CLASS_FIELDS = (Field.ERRORS_FAST, Field.TIMEOUTS, Field.THROTTLES)
# Exact totals: where one of these stands, a ratio would only repeat it with rounding.
EXACT_TOTALS = (Field.ERRORS, Field.ERRORS_FAST)


class Columns(NamedTuple):
    """Where each field stands: header position and the header's own word."""

    position: Mapping[Field, int]
    header: tuple[str, ...]
    unused: tuple[str, ...]

    def name(self, field: Field) -> str:
        """Return the file's own word for a field it has."""
        return self.header[self.position[field]]


def resolve_columns(header: Sequence[str], *, path: str, line: int, mapping: Mapping[str, str]) -> Columns:
    """Return which column carries which field.

    Args:
        header: The words of the header line.
        path: Named in errors.
        line: Where the header stands, from 1.
        mapping: Field name to header word; wins over the default words.

    Raises:
        SeriesError: If a field or column of the mapping does not exist, two columns
            mean the same, or the time, the requests or every failure column is missing.

    >>> c = resolve_columns(["time", "value", "requests", "note"], path="a.csv", line=1, mapping={})
    >>> c.name(Field.ERROR_RATIO), c.unused
    ('value', ('note',))
    """
    words = tuple(word.strip() for word in header)
    mapped = _mapped(words, path=path, line=line, mapping=mapping)
    index: dict[Field, int] = dict(mapped)
    taken = set(mapped.values())
    for position, word in enumerate(words):
        field = ALIASES.get(word.lower().replace("-", "_").replace(" ", "_"))
        if field is None or position in taken or field in mapped:
            continue
        if field in index and words[index[field]] == word:
            raise SeriesError(
                f"there are two columns {word!r}: rename or remove one of them",
                path=path,
                line=line,
                found=words,
            )
        if field in index:
            raise SeriesError(
                f"columns {words[index[field]]!r} and {word!r} both mean {field.value}; choose one with "
                f"--column {field.value}={word}",
                path=path,
                line=line,
                found=words,
            )
        index[field] = position
    _drop_second_choices(index, mapped)
    _require(index, words, path=path, line=line)
    used = set(index.values())
    return Columns(index, words, tuple(w for p, w in enumerate(words) if p not in used))


def _mapped(words: tuple[str, ...], *, path: str, line: int, mapping: Mapping[str, str]) -> dict[Field, int]:
    """Return the positions that the caller's mapping names."""
    mapped: dict[Field, int] = {}
    for name, word in mapping.items():
        if name not in {field.value for field in Field}:
            known = [field.value for field in Field]
            raise SeriesError(
                f"unknown field {name!r} in the column mapping{did_you_mean(name, known)}; "
                f"fields are {', '.join(known)}",
                path=path,
                line=line,
                found=words,
            )
        if word not in words:
            raise SeriesError(
                f"no column {word!r} for field {name}{did_you_mean(word, words)}; "
                f"columns are {', '.join(words)}",
                path=path,
                line=line,
                found=words,
            )
        mapped[Field(name)] = words.index(word)
    return mapped


def _drop_second_choices(index: dict[Field, int], mapped: Mapping[Field, int]) -> None:
    """Counts win over a ratio, and milliseconds over seconds, unless the caller asked for the other."""
    if any(field in index for field in EXACT_TOTALS):
        for field in RATIO_FIELDS:
            if field not in mapped:
                index.pop(field, None)
    for ms, s in (
        (Field.LATENCY_P50_MS, Field.LATENCY_P50_S),
        (Field.LATENCY_P99_MS, Field.LATENCY_P99_S),
    ):
        if ms in index and s not in mapped:
            index.pop(s, None)


def _require(index: Mapping[Field, int], words: tuple[str, ...], *, path: str, line: int) -> None:
    """Refuse a header that cannot give an observation, naming what was found and what is near."""
    found = ", ".join(words) if any(words) else "none"
    for needed in ((Field.TIMESTAMP,), (Field.REQUESTS,), FAILURE_FIELDS):
        if any(field in index for field in needed):
            continue
        wanted = " or ".join(field.value for field in needed)
        hint = next((h for f in needed for w in words if (h := _near(w, f))), "")
        # A metric without counts is no history of a target; two commands take it all the same.
        value = "value" in (word.lower() for word in words) and needed == (Field.REQUESTS,)
        other = "; a single value is judged by flyball thresholds and flyball score" if value else ""
        raise SeriesError(
            f"no column for {wanted}: columns found are {found}{hint}; "
            f"name one with --column {needed[0].value}=COLUMN{other}",
            path=path,
            line=line,
            found=words,
        )


def _near(word: str, field: Field) -> str:
    """Return a did-you-mean hint if a header word is nearly one of the words of a field."""
    known = [alias for alias, meaning in ALIASES.items() if meaning is field and len(alias) > 3]
    hint = did_you_mean(word.lower(), known)
    return f"{hint.removesuffix('?')} for {word!r}?" if hint else ""
