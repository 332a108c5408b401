"""Generators for property tests: observations, streams of them, policies."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from flyball_controller.core.model import Observation, Quality
from flyball_controller.core.policy import Law, Policy, Promise

T0 = 1_699_999_200.0  # a full hour
POLICIES = st.sampled_from(
    [
        Policy(),
        Policy(promise=Promise.INDEPENDENT),
        Policy(law=Law.LADDER, retry_floor=0.2, open_floor=0.5, retry_adaptive=False),
    ]
)


@st.composite
def windows(draw: st.DrawFn, index: int = 0, *, gap_s: float = 60.0) -> Observation:
    """One possible window, `index` periods after T0."""
    requests = draw(st.integers(0, 2_000))
    failures = draw(st.integers(0, requests))
    timeouts = draw(st.integers(0, failures))
    throttles = draw(st.integers(0, failures - timeouts))
    start_s = T0 + index * gap_s
    return Observation(
        "t",
        start_s,
        60.0,
        start_s + 80.0,
        requests,
        timeouts,
        failures - timeouts - throttles,
        throttles,
        draw(st.integers(requests, 4 * requests)),
        draw(st.integers(-1, requests)),
        draw(st.integers(0, 500)),
        0,
        -1.0,
        draw(st.floats(0, 60_000)),
        draw(st.sampled_from([Quality.OK, Quality.OK, Quality.OK, Quality.PARTIAL, Quality.MISSING])),
    )


@st.composite
def streams(draw: st.DrawFn, max_size: int = 60) -> list[Observation]:
    """A run of windows in time order, with gaps."""
    count = draw(st.integers(0, max_size))
    index = 0
    stream = []
    for _ in range(count):
        index += draw(st.integers(1, 4))
        stream.append(draw(windows(index)))
    return stream


WILD_FLOATS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([math.nan, math.inf, -math.inf, 5e-324, 1e308, -0.0]),
)
WILD_INTS = st.one_of(st.integers(-5, 5), st.integers(-(10**30), 10**30))


@st.composite
def wild_observations(draw: st.DrawFn) -> Observation:
    """Any numbers at all."""
    return Observation(
        "t",
        draw(WILD_FLOATS),
        draw(WILD_FLOATS),
        draw(WILD_FLOATS),
        *(draw(WILD_INTS) for _ in range(8)),
        draw(WILD_FLOATS),
        draw(WILD_FLOATS),
        draw(st.sampled_from(list(Quality))),
    )
