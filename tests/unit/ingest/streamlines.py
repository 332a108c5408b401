"""Lines of metric streams for the tests: as the service writes them, and as it never would."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

MONDAY_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z
COUNTS = (
    "requests",
    "attempts",
    "timeouts",
    "errors_fast",
    "throttles",
    "request_failures",
    "short_circuited",
    "errors_permanent",
)


def line(metric: str, total: float, *, minute: int = 0, target: str = "pay", **extra: Any) -> str:
    """One point in the service's own form; `extra` replaces or adds top-level members."""
    value = extra.pop("value", {"max": 1.0, "min": 0.0, "sum": total, "count": 2.0})
    point = {
        "metric_stream_name": "s",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "namespace": "flyball",
        "metric_name": metric,
        "dimensions": {"target": target},
        "timestamp": MONDAY_MS + minute * 60_000,
        "value": value,
        "unit": "Count",
        **extra,
    }
    return json.dumps(point, separators=(",", ":"))


def minute_lines(minute: int, *, target: str = "pay", **counts: float) -> list[str]:
    """All metrics of one minute of one target, latencies included."""
    lines = [line(name, counts.get(name, 0.0), minute=minute, target=target) for name in COUNTS]
    quantiles = {"max": 9.5, "min": 1.0, "sum": 30.0, "count": 9.0, "p50": 3.25, "p99": 8.123456789012345}
    return [*lines, line("latency", 0.0, minute=minute, target=target, value=quantiles)]


def text(lines: list[str]) -> bytes:
    """The lines of a file."""
    return "".join(f"{one}\n" for one in lines).encode()


# Numbers as text, because a number that has been a float has lost what is odd about it.
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["0", "-0", "-0.0", "1e400", "-1e999", "1e22", "1e23", "9007199254740993", "0.1e-5",
                     "NaN", "Infinity", "true", '"7"', "01", "1.", "+1", "null", "1" * 50]),
)  # fmt: skip
WORDS = st.text(st.sampled_from('ab"\\:{}[],5 é\u2028\x01'), max_size=6)


@st.composite
def odd_lines(draw: st.DrawFn) -> str:
    """A line that a careless reader gets wrong: escapes, order, blanks, repeated keys, exotic numbers."""
    metric = json.dumps(draw(st.one_of(st.sampled_from(["requests", "latency"]), WORDS)))
    members = [
        ('"namespace"', '"flyball"'),
        ('"metric_name"', metric),
        ('"dimensions"', json.dumps({"target": draw(st.one_of(st.just("pay"), WORDS))})),
        ('"timestamp"', draw(st.one_of(st.integers(MONDAY_MS, MONDAY_MS + 10**7).map(str), NUMBERS))),
    ]
    values = [('"sum"', draw(NUMBERS)), ('"count"', draw(NUMBERS))]
    values += [(key, draw(NUMBERS)) for key in ('"p50"', '"p99"', '"sum"') if draw(st.booleans())]
    gap = draw(st.sampled_from(["", " ", "\t"]))
    body = f",{gap}".join(f"{k}:{gap}{v}" for k, v in draw(st.permutations(values)))
    members.append(('"value"', f"{{{body}}}"))
    if draw(st.booleans()):
        members.append(draw(st.sampled_from([*members, ('"unit"', '"x\\"y"'), ('"a"', "[1,2]")])))
    joined = f",{gap}".join(f"{k}{gap}:{gap}{v}" for k, v in draw(st.permutations(members)))
    whole = f"{gap}{{{gap}{joined}}}{draw(st.sampled_from(['', ' ', chr(13), 'x', '}']))}"
    return draw(st.sampled_from([whole, whole, whole, whole[: len(whole) // 2], "", "  ", "not json"]))
