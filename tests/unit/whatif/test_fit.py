"""What a recording says: demand behind attempts, health outside incidents, and what has to be assumed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_runs import T0, calm, window
from flyball_analytics.labels import Incident, Labels
from flyball_analytics.series import Series
from flyball_analytics.whatif_fit import (
    FitError,
    Recorded,
    amplification,
    demand_of,
    fit,
    latency_of,
)
from flyball_controller.core.model import Quality

AS_RECORDED = Recorded()
ATTEMPTS = Recorded(counts_attempts=True, max_attempts=4)


def series(observations) -> Series:
    """A history of minutes."""
    return Series("t", "t.csv", 60.0, tuple(observations), len(observations), (), (), {}, (), ())


def minutes(first: int, last: int) -> Labels:
    """One incident."""
    start_s, end_s = T0 + 60.0 * first, T0 + 60.0 * last
    return Labels((Incident(start_s, end_s, start_s, end_s),))


def test_half_of_the_attempts_failing_makes_1_875_attempts_of_four() -> None:
    """1 + 1/2 + 1/4 + 1/8."""
    assert amplification(0.5, ATTEMPTS) == 1.875
    assert amplification(0.0, ATTEMPTS) == 1.0
    assert amplification(1.0, ATTEMPTS) == 4.0
    assert amplification(1.0, Recorded(True, 4, budget_ratio=0.2)) == 1.2


@given(st.floats(0.0, 1.0), st.integers(1, 10), st.floats(0.0, 10.0))
def test_attempts_per_request_lie_between_one_and_all_allowed(ratio, attempts, budget) -> None:
    """Whatever fails."""
    found = amplification(ratio, Recorded(True, attempts, budget))
    assert 1.0 <= found <= min(attempts, 1.0 + budget) + 1e-9


def test_first_attempts_are_recovered_from_attempts() -> None:
    """1,125 attempts in a minute, half of them failed: 600 requests, 10 a second."""
    seen = window(0, requests=1_125, fast=562)._replace(errors_fast=563)
    found = demand_of(seen._replace(requests=1_126), ATTEMPTS)
    assert found.per_s == pytest.approx(1_126 / 1.875 / 60.0)
    assert found.attempts_per_s == pytest.approx(1_126 / 60.0)
    assert found.lost == -1.0


def test_requests_are_taken_as_they_stand_and_refused_calls_were_demanded_too() -> None:
    """600 requests and 60 refused by clients: 11 a second; what was refused was lost."""
    seen = window(0, timeouts=30, short=60, failed=12)
    found = demand_of(seen, AS_RECORDED)
    assert (found.per_s, found.attempts_per_s, found.lost) == (11.0, 10.5, 72.0)
    assert (found.timeout_ratio, found.fast_ratio, found.failed_ratio) == (0.05, 0.0, 0.05)
    unknown = demand_of(window(0)._replace(request_failures=-1), AS_RECORDED)
    assert unknown.lost == -1.0
    assert demand_of(window(0, requests=0), AS_RECORDED).failed_ratio == 0.0


def test_health_is_read_outside_incidents_and_the_peak_is_one_that_was_served_well() -> None:
    """A labelled incident at twice the load, an unlabelled bad minute at thrice: neither proves capacity."""
    seen = calm(0, 70, fast=6)
    seen[10:13] = [window(m, requests=1_200, fast=600) for m in range(10, 13)]
    seen[20] = window(20, requests=1_800, fast=900)
    seen[30] = window(30, requests=900, fast=9)
    found = fit(series(seen), minutes(10, 12), AS_RECORDED)
    assert found.mean_per_s == 10.0
    assert found.peak_per_s == (900 + 9) / 60.0  # attempts: nine were tried again
    assert found.error_ratio == 0.01
    assert found.target == "t"
    assert len(found.demand) == 70


def test_under_an_hour_of_health_there_is_no_model() -> None:
    """Sixty minutes of which one failed: 59."""
    seen = calm(0, 60)
    seen[5] = window(5, fast=600)
    with pytest.raises(FitError, match="59 healthy windows, 60 are needed"):
        fit(series(seen), None, AS_RECORDED)


def test_flagged_and_empty_windows_teach_nothing() -> None:
    """They carry no counts."""
    seen = [*calm(0, 61), window(61)._replace(quality=Quality.INVALID), window(62, requests=0)]
    assert len(fit(series(seen), None, AS_RECORDED).demand) == 61


def test_unmeasured_attempts_are_named() -> None:
    """The peak is then of first attempts: a capacity that is understated."""
    seen = [one._replace(attempts=0) for one in calm(0, 60)]
    assert "attempts were not measured" in fit(series(seen), None, AS_RECORDED).assumed[-1]


def speed(p50: float, p99: float):
    """Of one healthy window."""
    return latency_of([window(0, p99=p99)._replace(latency_ms_p50=p50)])


def test_work_is_lognormal_between_p50_and_p99() -> None:
    """p99 / p50 = e^2.326 has sigma 1: mean e^0.5 of the median, cv sqrt(e - 1); 10 ms are the network's."""
    found = speed(110.0, 110.0 * math.exp(2.326))
    assert found.work_mean_s == pytest.approx(0.1 * math.exp(0.5))
    assert found.work_cv == pytest.approx(math.sqrt(math.e - 1.0))
    assert found.p99_s == pytest.approx(0.11 * math.exp(2.326))
    assert found.assumed == ()


def test_a_quick_answer_is_not_mostly_network() -> None:
    """8 ms: a quarter of it is taken for the network, not 10 ms of 8."""
    found = speed(8.0, 8.0)
    assert (found.network_s, found.work_mean_s, found.work_cv) == (0.002, 0.006, 0.0)


@pytest.mark.parametrize(
    ("p50", "p99", "words"),
    [(-1.0, -1.0, "latency was not measured"), (-1.0, 300.0, "p50 was not"), (100.0, -1.0, "p99 was not")],
)
def test_what_was_not_measured_is_assumed_and_said(p50, p99, words) -> None:
    """Never in silence."""
    found = speed(p50, p99)
    assert words in found.assumed[0]
    assert found.work_mean_s > 0.0
    assert found.work_cv == pytest.approx(0.3)


def test_a_wild_tail_is_cut() -> None:
    """A p99 of a thousand times the median is one slow endpoint among many, not the work of one."""
    assert speed(10.0, 10_000.0).work_cv == pytest.approx(2.0)
