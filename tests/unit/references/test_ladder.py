"""The ladder rule: one threshold on a minute's attempt error rate, two numbers of attempts."""

from __future__ import annotations

from flyball.contract import DEFAULT_PARAMS, TargetParams, clip_params
from flyball.outcome import Counters
from flyball_analytics.references.retries import LadderRule, LadderTarget
from unit.references.support import ERROR, one


def minute(requests: int, retries: int, failed: int) -> Counters:
    """Return the counters of one minute."""
    counters = Counters()
    counters.requests, counters.retries, counters.request_failures = requests, retries, failed
    return counters


def attempts(rule: LadderRule, *minutes: Counters) -> list[int]:
    """Return the attempts published after each minute."""
    return [rule(counted).retry.max_attempts for counted in minutes]


BAD, GOOD = minute(100, 100, 100), minute(100, 0, 0)


def test_the_threshold_itself_is_not_over_it() -> None:
    """20 retries and 4 failed requests are 24 failures of 120 attempts: 20 %; one more is over."""
    assert attempts(LadderRule(), minute(100, 20, 4)) == [4]
    assert attempts(LadderRule(), minute(100, 20, 5)) == [2]


def test_down_is_at_once_and_up_is_one_step_a_minute() -> None:
    """4 -> 2 attempts (3 -> 1 retries), then 3, then 4."""
    assert attempts(LadderRule(), BAD, GOOD, GOOD, GOOD) == [2, 3, 4, 4]


def test_a_minute_without_calls_changes_nothing() -> None:
    """Silence is neither good nor bad."""
    assert attempts(LadderRule(), BAD, minute(0, 0, 0), GOOD) == [2, 2, 3]


def test_its_parameters_pass_the_real_clients_bounds() -> None:
    """They are published as any document is; a clipped number would be another rule."""
    params = LadderRule()(GOOD)
    assert clip_params(params) == params


def test_the_client_obeys_the_newer_document_only() -> None:
    """A late delivery of an old document must not bring retries back."""
    target = LadderTarget()
    low = DEFAULT_PARAMS._replace(retry=DEFAULT_PARAMS.retry._replace(max_attempts=2))
    assert one(target, ERROR) == 4
    assert target.apply_params(low, 7)
    assert one(target, ERROR) == 2
    assert not target.apply_params(TargetParams(), 7)
    assert one(target, ERROR) == 2
