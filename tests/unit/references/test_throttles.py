"""Throttles: the probability of refusal, and the CUBIC rate, worked by hand."""

from __future__ import annotations

import pytest

from flyball.outcome import RejectReason
from flyball_analytics.references.base import ReferenceTarget
from flyball_analytics.references.throttles import (
    AdaptiveThrottle,
    AdmissionControl,
    CubicRate,
    PartialRejection,
    aws_adaptive,
    envoy_admission,
    semian_adaptive,
    sre_adaptive_throttling,
)
from unit.references.support import ERROR, OK, THROTTLE, TIMEOUT, begun, end, one, refused


def test_sre_refuses_what_is_over_twice_the_accepts() -> None:
    """10 requests, 4 accepts: (10 - 8) / 11. 5 accepts: nothing."""
    throttle = AdaptiveThrottle()
    target = ReferenceTarget(throttle, attempts=1)
    for outcome in (OK, OK, OK, OK, TIMEOUT, ERROR, THROTTLE, ERROR, ERROR, ERROR):
        one(target, outcome)
    assert throttle.ratio(0.0) == pytest.approx(2.0 / 11.0)
    assert refused(target, draw=0.18) is RejectReason.SHED  # the refused one counts: (11 - 8) / 12
    assert throttle.ratio(0.0) == pytest.approx(3.0 / 12.0)
    one(target, OK)
    one(target, OK)
    assert throttle.ratio(0.0) == pytest.approx(1.0 / 14.0)  # 13 requests, 6 accepts
    assert throttle.ratio(121.0) == 0.0


def test_sre_has_no_cap_so_a_long_outage_leaves_next_to_no_probes() -> None:
    """200 requests, none accepted: 200 / 201. This is why it comes back minutes late."""
    throttle = AdaptiveThrottle()
    target = ReferenceTarget(throttle, attempts=1)
    for _ in range(200):
        one(target, ERROR)
    assert throttle.ratio(0.0) == pytest.approx(200.0 / 201.0)


def test_sre_makes_at_most_three_attempts_and_only_the_first_is_a_request() -> None:
    """A request counts once in the ratio, and its second attempt's success is no accept of a first."""
    target = sre_adaptive_throttling()
    throttle = target.rules[0]
    assert isinstance(throttle, AdaptiveThrottle)
    assert target.attempts == 3
    call = begun(target)
    assert end(call, ERROR) is not None
    assert end(call, OK) is None
    assert throttle.ratio(0.0) == pytest.approx(1.0 / 2.0)


def test_envoy_refuses_what_misses_the_success_threshold() -> None:
    """10 requests, 5 good: (10 - 5 / 0.95) / 11 = 0.4306; all bad: 100 / 101, capped at 0.8."""
    admission = AdmissionControl()
    target = ReferenceTarget(admission, attempts=1)
    for outcome in (OK, ERROR) * 5:
        one(target, outcome)
    assert admission.ratio(0.0) == pytest.approx(0.4306, abs=1e-4)
    for _ in range(100):
        one(target, ERROR)
    assert admission.ratio(0.0) == 0.8
    assert refused(target, draw=0.79) is RejectReason.SHED
    assert admission.ratio(31.0) == 0.0


def test_envoys_refusals_and_saved_requests_do_not_raise_its_ratio() -> None:
    """It counts what was let in, by its last answer: 5 requests saved by a retry are 5 successes."""
    target = envoy_admission()
    admission = target.rules[0]
    assert isinstance(admission, AdmissionControl)
    for _ in range(5):
        call = begun(target)
        assert end(call, ERROR) is not None
        assert end(call, OK) is None
    assert admission.ratio(0.0) == 0.0
    begun(target).abandon()
    one(target, ERROR)  # 6 requests, 5 good: (6 - 5.263) / 7 = 0.105
    before = admission.ratio(0.0)
    assert before == pytest.approx(0.1053, abs=1e-4)
    refused(target, draw=0.0)
    assert admission.ratio(0.0) == before


def test_a_higher_aggression_refuses_more() -> None:
    """The square root of 0.4306 is 0.6562."""
    target = ReferenceTarget(admission := AdmissionControl(aggression=2.0), attempts=1)
    for outcome in (OK, ERROR) * 5:
        one(target, outcome)
    assert admission.ratio(0.0) == pytest.approx(0.6562, abs=1e-4)


def measured_at_eight_per_s() -> tuple[ReferenceTarget, CubicRate]:
    """Return a client that saw five answers up to 0.5 s: 5 / 0.5 s = 10 per s, weighted 0.8: 8."""
    target = ReferenceTarget(rate := CubicRate(), attempts=1)
    for at_s in (0.0, 0.1, 0.2, 0.3, 0.5):
        one(target, OK, at_s)
    assert rate.measured == pytest.approx(8.0)
    return target, rate


def test_cubic_is_off_until_the_first_throttle() -> None:
    """Time-outs and errors never switch it on: it is deaf to overload that does not say 429."""
    target, rate = measured_at_eight_per_s()
    for outcome in (TIMEOUT, ERROR) * 20:
        one(target, outcome, 0.6)
    assert not rate.enabled
    assert begun(target, 0.6).pause_s == 0.0


def test_cubic_cuts_to_seven_tenths_and_climbs_back_along_a_cube() -> None:
    """W = 8: limit 5.6, K = (8 * 0.3 / 0.4)^(1/3) = 1.8171; 0.2 s later 0.4 (0.2 - K)^3 + 8 = 6.308."""
    target, rate = measured_at_eight_per_s()
    one(target, THROTTLE, 0.6)
    assert rate.enabled
    assert rate.limit == pytest.approx(5.6)
    one(target, OK, 0.8)
    assert rate.limit == pytest.approx(6.308, abs=1e-3)


def test_cubic_never_exceeds_twice_the_measured_rate_nor_falls_below_one_in_two_seconds() -> None:
    """A lone client cannot inherit a high limit, and one that is always throttled still asks."""
    target, rate = measured_at_eight_per_s()
    one(target, THROTTLE, 0.6)
    one(target, OK, 20.0)  # 2 answers in 19.5 s: 0.8 * 2/19.5 + 0.2 * 8 = 1.682
    assert rate.measured == pytest.approx(1.682, abs=1e-3)
    assert rate.limit == pytest.approx(3.364, abs=1e-3)
    for at_s in range(60, 120, 10):
        one(target, THROTTLE, float(at_s))
    assert rate.limit == 0.5


def test_an_attempt_without_a_token_waits_for_it() -> None:
    """At limit 0.5 a token takes 2 s: the second call at the same moment waits two, a retry as well."""
    target = aws_adaptive()
    rate = target.rules[0]
    assert isinstance(rate, CubicRate)
    begun(target).abandon()
    rate.enabled, rate.limit, rate.tokens = True, 0.5, 1.0
    assert begun(target).pause_s == 0.0
    assert begun(target).pause_s == 2.0
    assert begun(target).pause_s == 4.0


def test_a_retry_waits_its_back_off_and_then_for_its_token() -> None:
    """Throttled at 0: limit 0.5 and no token; a retry drawn for 0.5 s finds 0.25 and waits 1.5 s more."""
    target = aws_adaptive()
    call = begun(target)
    assert end(call, THROTTLE) == pytest.approx(0.5 + 1.5)


def test_semians_controller_rejects_at_once_and_lets_go_at_once() -> None:
    """All errors: P = sum = 0.95, r = 0.95 + 0.19 -> 1. Then none: P -1.0922, r = -0.0922 - 0.0284 -> 0."""
    controller = PartialRejection()
    controller.update(1.0)
    assert (controller.rejection, controller.ideal) == (1.0, 0.05)
    controller.update(0.0)
    assert controller.ideal == pytest.approx(0.0461)
    assert controller.integral == pytest.approx(-0.1422, abs=1e-4)
    assert controller.rejection == 0.0


def test_semian_rejects_the_excess_over_its_baseline() -> None:
    """20 % errors over 5 %: P = 0.15, r = 0.15 + 0.2 * 0.15 = 0.18; 6 % is inside the dead zone."""
    controller = PartialRejection()
    controller.update(0.06)
    assert (controller.rejection, controller.integral) == (0.0, 0.0)
    assert controller.ideal == pytest.approx(0.050017)
    controller = PartialRejection()
    controller.update(0.2)
    assert controller.rejection == pytest.approx(0.18)


def test_semians_baseline_learns_more_slowly_after_half_an_hour() -> None:
    """0.078 becomes 0.039 downwards, 0.0017 becomes 0.0009 upwards."""
    controller = PartialRejection()
    for _ in range(1_799):
        controller.update(0.1)
    before = controller.ideal
    controller.update(0.0)
    assert controller.ideal == pytest.approx(before * (1.0 - 0.039))
    before = controller.ideal
    controller.update(0.1)
    assert controller.ideal == pytest.approx(before + 0.0009 * (0.1 - before))


def test_semians_sum_is_clamped() -> None:
    """Ten at most, or a long incident would reject for ever after."""
    controller = PartialRejection()
    controller.rejection = 0.0
    for _ in range(100):
        controller.update(0.9)
        controller.rejection = 0.0
    assert controller.integral == 10.0


def test_semian_refuses_calls_and_retries_by_the_same_chance() -> None:
    """A second of failures only: everything is refused, a retry of a call already let in, too."""
    target = semian_adaptive()
    controller = target.rules[0]
    assert isinstance(controller, PartialRejection)
    held = begun(target, 0.0)
    for _ in range(10):
        one(target, ERROR, 0.5)
    assert refused(target, 1.2) is RejectReason.SHED
    assert controller.rejection == 1.0
    assert end(held, ERROR, 1.3) is None


def test_semian_lets_traffic_through_again_after_a_silence() -> None:
    """A minute without calls is caught up: the windows were empty, and nothing is refused."""
    target = semian_adaptive()
    for _ in range(10):
        one(target, ERROR, 0.5)
    refused(target, 1.5)
    begun(target, 61.0)
    controller = target.rules[0]
    assert isinstance(controller, PartialRejection)
    assert controller.rejection == 0.0
