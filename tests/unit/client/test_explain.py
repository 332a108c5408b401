"""explain: what it says is what the client does; each contradiction is named, and only where there is one."""

from __future__ import annotations

import re
import runpy
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.backoff import RETRY_AFTER_MAX_S
from flyball.call import Call, Outcome, Target
from flyball.contract import (
    BOUNDS,
    DEFAULT_PARAMS,
    BreakerParams,
    BulkheadParams,
    CircuitState,
    Document,
    RetryParams,
    TargetParams,
    ThrottleParams,
)
from flyball.errors import SettingsError
from flyball.explain import explain, main
from flyball.guard import configure
from flyball.sources import StaticCircuits, StaticDocuments
from flyball.testing import force_open, with_params
from unit.client.support import World, circuit


def line(text: str, title: str) -> str:
    """The sentence of one title."""
    return next(row for row in text.splitlines() if row.startswith(f"  {title} "))


def codes(explanation) -> set[str]:
    return {warning.code for warning in explanation.warnings}


def test_the_defaults_in_words():
    """By hand: 12 in a row, 0.9 x 20 = 18; 3 + 1 + 1 + 1 s and 0.1 + 0.2 + 0.4 s; throttled 1 + 2 + 2 s."""
    explanation = explain(Target("payments-api"))
    assert explanation.warnings == ()
    assert (explanation.opens_after, explanation.max_attempts, explanation.retries_per_1000) == (12, 4, 200.0)
    assert explanation.worst_case_s == pytest.approx(6.7)
    opens = line(explanation.text, "opens")
    assert "after 12 failures in a row (time-outs count half), 18 fast failures of 20 calls in 60 s" in opens
    assert "6.7 s if all time out, 11 s if throttled instead" in line(explanation.text, "time")
    assert "30 to 36 s" in line(explanation.text, "closes")
    assert "3 good ones in a row close it, one if failures in a row had opened it" in explanation.text
    assert line(explanation.text, "circuit").endswith("closed, nothing is published")
    assert explanation.text.count("[compiled in]") == 6


def number(section: str, field: str):
    low, high = BOUNDS[section][field]
    if isinstance(low, int) and isinstance(high, int):
        return st.integers(low, high)
    return st.floats(low, high)


@given(number("breaker", "failure_ratio"), st.integers(1, 60))
def test_it_opens_after_exactly_that_many_failures(ratio, min_calls):
    """The claim, tried on the breaker: good calls first, then n - 1 failures, then the n-th."""
    params = DEFAULT_PARAMS._replace(breaker=BreakerParams(failure_ratio=ratio, min_calls=min_calls))
    target = Target("t", params=params)
    after = explain(target, now_s=0.0).opens_after
    outcomes = [Outcome.SUCCESS] * (min_calls - after) + [Outcome.ERROR_FAST] * after
    for place, outcome in enumerate(outcomes):
        assert target.state(0.0) == CircuitState.CLOSED, place
        call = target.begin(0.0, 0.99)
        assert isinstance(call, Call)
        call.finish(outcome, now_s=0.0, draw=0.5, latency_ms=1.0)
    assert target.state(0.0) == CircuitState.OPEN


@given(
    st.builds(
        RetryParams,
        max_attempts=number("retry", "max_attempts"),
        base_ms=number("retry", "base_ms"),
        cap_ms=number("retry", "cap_ms"),
        attempt_timeout_ms=number("retry", "attempt_timeout_ms"),
        budget_ratio=st.just(3.0),
        budget_burst=st.just(10.0),
        jitter=st.sampled_from(
            [type(DEFAULT_PARAMS.retry.jitter)(j) for j in ("full", "equal", "decorrelated")]
        ),
    ),
    st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=4, max_size=4),
)
def test_no_call_takes_longer_than_the_worst_case(retry, draws):
    """Each attempt uses all of its time, each wait is as drawn: never longer, and close to it at worst."""
    target = Target("t", params=DEFAULT_PARAMS._replace(retry=retry))
    target._budget.earned = 10  # credit for every retry: the budget is not what is asked about here
    worst_s = explain(target, now_s=0.0).worst_case_s
    call = target.begin(0.0, 0.99, idempotent=True)
    now_s, wait_s = 0.0, 0.0
    for draw in draws:
        now_s += call.timeout_s(now_s)
        wait_s = call.finish(Outcome.TIMEOUT, now_s=now_s, draw=draw, latency_ms=1.0)
        if wait_s is None:
            break
        now_s += wait_s
    assert wait_s is None
    assert call.attempt == retry.max_attempts
    assert now_s <= worst_s * (1.0 + 1e-9)


def test_a_guarded_function_tells_more():
    """Declaration and time-out are known from the decorated function."""
    world = World()
    single = explain(world.target(idempotent=False).guard(world.function()))
    assert codes(single) == {"not-idempotent", "timeout-missing"}
    assert single.max_attempts == 1
    assert single.worst_case_s == pytest.approx(3.0)
    assert "if all time out" not in single.text
    told = explain(world.target().guard(timeout="timeout_s")(world.function()))
    assert codes(told) == set()
    keyed = world.target(idempotent=False).guard(idempotency_key="order", timeout="timeout_s")
    with_key = explain(keyed(lambda order, timeout_s: None))
    assert (with_key.max_attempts, codes(with_key)) == (4, set())


@pytest.mark.parametrize(
    ("params", "given", "expected"),
    [
        ({}, {"function_timeout_s": 1.0}, {"deadline-short"}),
        ({}, {"function_timeout_s": 6.0}, {"function-timeout"}),
        ({}, {"function_timeout_s": 7.0}, set()),
        ({"retry": RetryParams(budget_ratio=0.0)}, {}, {"budget-zero"}),
        ({"retry": RetryParams(budget_ratio=0.0, max_attempts=1)}, {}, set()),
        ({"throttle": ThrottleParams(cap_ratio=0.0)}, {}, {"throttle-off"}),
        # 20 calls in 60 s, or failures in a row that are at most 60 s apart.
        ({"breaker": BreakerParams(consecutive_failures=0)}, {"calls_per_s": 0.3}, {"breaker-deaf"}),
        ({"breaker": BreakerParams(consecutive_failures=0)}, {"calls_per_s": 0.7}, set()),
        ({}, {"calls_per_s": 0.016}, {"breaker-deaf"}),
        ({}, {"calls_per_s": 0.017}, set()),
        # 5 good probes of 0.7/s: three at a share of 0.01, but one per open_s in any case; then at 0.34
        # (4.2 s) and at 0.67 (2.1 s).
        (
            {"breaker": BreakerParams(probe_ratio=0.01, close_after=5, open_s=98.0)},
            {"calls_per_s": 0.7},
            {"probes-too-few"},
        ),
        (
            {"breaker": BreakerParams(probe_ratio=0.01, close_after=5, open_s=97.0)},
            {"calls_per_s": 0.7},
            set(),
        ),
        ({}, {"calls_per_s": 0.0}, {"breaker-deaf", "probes-too-few"}),
    ],
)
def test_contradictions_are_named_and_nothing_else_is(params, given, expected):
    """The bound on either side."""
    explanation = explain(Target("t", params=TargetParams(**params)), **given)
    assert codes(explanation) == expected
    assert explanation.text.count("\n  ! ") == len(expected)


def test_the_share_of_a_published_circuit_decides_while_it_holds():
    """20 good probes of 10 % of 0.7 calls/s: 263 s; of 5 %: 518 s, too long."""
    target = Target("t")
    for version, ratio, expected in ((1, 0.1, set()), (2, 0.05, {"probes-too-few"})):
        target.apply_circuit(circuit(CircuitState.OPEN, version=version, probe_ratio=ratio, close_after=20))
        assert codes(explain(target, now_s=1_000.0, calls_per_s=0.7)) == expected
    for close_after, expected in ((3, set()), (5, {"probes-too-few"})):
        params = DEFAULT_PARAMS._replace(breaker=BreakerParams(close_after=close_after))
        target = Target("t", params=params)
        target.apply_circuit(circuit(CircuitState.OPEN, probe_ratio=0.01))
        said = codes(explain(target, now_s=1_000.0, calls_per_s=0.7))
        assert said == expected, "149 s and 435 s by the close_after of the parameters"


def test_each_number_names_where_it_comes_from():
    """Compiled in, a document, a circuit; the circuit's overrides only where it has them."""
    world = World(
        documents=StaticDocuments(Document(7, "", "", {"t": DEFAULT_PARAMS})),
        circuits=StaticCircuits([circuit(CircuitState.CLOSED, version=5, max_attempts=2, budget_ratio=0.1)]),
    )
    text = explain(world.target()).text
    assert line(text, "attempts").endswith("at most 2 [circuit version 5]")
    assert "at most 100 are repeated" in line(text, "budget")
    assert line(text, "budget").endswith("[circuit version 5]")
    assert line(text, "opens").endswith("[document revision 7]")
    assert "closed, as published, for 90 s unless renewed [circuit version 5]" in text
    with with_params("t", within=world.runtime, bulkhead={"max_concurrent": 9}):
        text = explain(world.target()).text
    assert line(text, "bulkhead").endswith("at most 9 calls at once [set in this process]")


def test_a_circuit_that_overrides_nothing_leaves_the_documents_numbers():
    """None is no override."""
    target = Target("t")
    target.apply_circuit(circuit(CircuitState.OPEN, version=5))
    assert line(explain(target, now_s=1_000.0).text, "attempts").endswith(
        "at most 4 [compiled in] if it may be repeated, else 1"
    )


def test_the_circuit_says_who_decided_and_for_how_long():
    """Published, forced, local, disproved, held: each in its own words."""
    target = Target("t", function="pay")
    target.apply_circuit(circuit(CircuitState.OPEN, close_after=1, probe_ratio=1.0, reason="dead"))
    said = line(explain(target, now_s=1_000.0).text, "circuit")
    assert said.endswith("open for every function, for 90 s unless renewed (dead) [circuit version 1]")
    call = target.begin(1_000.0, 0.0)
    call.finish(Outcome.SUCCESS, now_s=1_000.0, draw=0.0, latency_ms=1.0)
    said = line(explain(target, now_s=1_000.0).text, "circuit")
    assert said.endswith(
        "closed here, by good probes; published is open, for 90 s unless renewed (dead) [circuit version 1]"
    )
    target.apply_circuit(circuit(CircuitState.FORCED_OPEN, version=3, function="pay"))
    said = line(explain(target, now_s=1_000.0).text, "circuit")
    assert said.endswith("forced-open for pay, for 90 s unless renewed [circuit version 3]")
    target.apply_circuit(circuit(CircuitState.FORCED_CLOSED, target="*", version=9))
    said = line(explain(target, now_s=1_000.0).text, "circuit")
    assert said.endswith(
        "forced-closed for everything (kill switch), for 90 s unless renewed [circuit version 9]"
    )


def test_the_local_circuit_in_words():
    """Opened by this environment, then half-open by its own clock."""
    target = Target("t", params=DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1)))
    target.begin(0.0, 0.0).finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.5, latency_ms=1.0)
    assert "open here, by this environment; it may be asked again in 33 s" in explain(target, now_s=0.0).text
    assert "half-open here, on this environment's own evidence" in explain(target, now_s=33.0).text


def test_a_blind_target_is_said_to_wait():
    """It is open although nothing was published and nothing failed."""
    target = Target("t")
    target.begin_blind(0.0)
    assert "open here, until anything is known of the target" in explain(target, now_s=1.0).text


def test_a_hold_is_said():
    """What a test forced must not look like an outage."""
    world = World()
    handle = world.target()
    with force_open(handle):
        assert "forced-open, held by this process" in explain(handle).text
    assert "closed" in explain("t", within=world.runtime).text


def test_a_rule_that_is_off_is_not_said():
    """Nor is what would close after it."""
    params = TargetParams(breaker=BreakerParams(consecutive_failures=0))
    explanation = explain(Target("t", params=params))
    assert explanation.opens_after == 18
    assert "in a row (" not in explanation.text
    assert "one if" not in explanation.text


def test_slow_calls_and_silence_are_said():
    """Only if somebody said what slow is."""
    params = TargetParams(
        breaker=BreakerParams(slow_call_ms=500),
        throttle=ThrottleParams(cap_ratio=0.0),
        bulkhead=BulkheadParams(max_concurrent=3),
    )
    text = explain(Target("t", params=params)).text
    assert "or when 0.9 of them took 500 ms or more" in text
    assert "sheds     nothing [compiled in]" in text
    assert "at most 3 calls at once" in text
    assert f"up to {RETRY_AFTER_MAX_S:g} s, comes on top" in text


def unfinished():
    """A function whose closure is not filled yet."""

    def inner():
        return later

    if inner is None:
        later = None
    return inner


@pytest.mark.parametrize("subject", [len, lambda: None, 3, unfinished()])
def test_what_is_not_guarded_cannot_be_explained(subject):
    """Nothing is made up."""
    with pytest.raises(SettingsError) as caught:
        explain(subject)
    assert caught.value.field == "subject"


def test_an_unknown_name_is_refused_with_the_known_ones():
    """explain must not declare a target by a typo."""
    world = World()
    with pytest.raises(SettingsError, match="known: none"):
        explain("t", within=world.runtime)
    world.target()
    with pytest.raises(SettingsError, match="known: t"):
        explain("u", within=world.runtime)
    assert set(world.runtime.targets) == {"t"}


def test_the_command_prints_and_says_by_its_status_whether_there_are_warnings(capsys, monkeypatch):
    """For a deployment pipeline; configured by the function's own variables."""
    monkeypatch.setenv(
        "FLYBALL_DOCUMENT",
        '{"schema": 1, "revision": 3, "generated_at": "", "policy_hash": "", "targets": {}}',
    )
    before = configure(None)
    try:
        assert main(["payments-api"]) == 0
        printed = capsys.readouterr().out
        assert main(["payments-api", "--calls-per-s", "0.01", "--function-timeout-s", "2"]) == 1
    finally:
        configure(before)
    assert re.match(r"payments-api\n  circuit   closed", printed)
    assert "[document revision 3]" in printed
    assert "min_calls" in capsys.readouterr().out


def test_it_runs_as_a_module(monkeypatch, capsys):
    """python -m flyball.explain."""
    monkeypatch.setattr(sys, "argv", ["explain", "payments-api"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(explain.__globals__["__file__"], run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("payments-api\n")
