"""The whole assessment: order of work, money, first policy, and its three forms."""

from __future__ import annotations

import pytest

from flyball_analytics.assess.assessment import assess
from flyball_analytics.assess.checklist import of_function, of_integration
from flyball_analytics.assess.economics import money_of, outage_usd, protection_usd
from flyball_analytics.assess.first_policy import policy_text
from flyball_analytics.assess.forms import gathered, markdown_of, plain_of, text_of
from flyball_analytics.assess.hazards import Severity
from flyball_analytics.integrations import Call, Function, Target
from flyball_analytics.integrations_file import parse_integrations
from flyball_analytics.thresholds.recommend import Advice, Recommendation
from flyball_controller.core.model import Mode
from flyball_controller.policy_file import parse_policy
from unit.assess.maps import careless, one_call


def test_high_hazards_come_first_and_the_dearest_of_them_before_others():
    """payments: 0.1 % of 730 h x $20,000 = $14,600, shared by two callers."""
    steps = assess(careless()).steps
    assert [step.rank for step in steps] == sorted(step.rank for step in steps)
    assert steps[0].where == "payments-api"
    assert steps[0].usd == pytest.approx(14_600.0)
    assert steps[1].usd == pytest.approx(7_300.0)
    kinds = [step.do.split(":")[0] for step in steps]
    protects = [number for number, kind in enumerate(kinds) if kind in ("retry", "breaker", "bulkhead")]
    urgent = [n for n, s in enumerate(steps) if s.because.startswith(("default-time-out", "no-dead-letters"))]
    asks = [number for number, kind in enumerate(kinds) if kind.startswith("find out")]
    assert max(urgent) < min(protects) < max(protects) < min(asks)


def test_outages_are_reckoned_by_what_was_stated_before_the_sla():
    """4 a year x 1 h x $1,200 = $400 a month."""
    stated = Target(usd_per_outage_h=1_200.0, outages_per_year=4.0, recovery_s=3_600.0, sla_ratio=0.9)
    assert outage_usd(stated)[0] == pytest.approx(400.0)
    assert outage_usd(Target(usd_per_outage_h=1.0))[0] is None
    assert outage_usd(Target())[1] == "usd_per_outage_h is not known"


def test_retries_cost_and_heal_by_the_normal_error_rate():
    """1 % of 2,628,000 x (1 + 0.01) retries of $0.001; healed: all but 1 in a million, at $20,000 / 3,600."""
    one = one_call(
        "{criticality: 5, latency_ms: 300, error_ratio: 0.01, usd_per_call: 0.001, usd_per_outage_h: 20000}",
        "{idempotent: true}",
        "    memory_mb: 512\n    requests_per_month: 2628000\n",
    )
    money = money_of(one, attempts=3, callers=1)
    attempt = 0.001 + 0.3 * 0.5 * 0.000_013_333_4
    assert money.attempt_usd == pytest.approx(attempt)
    assert money.retries_usd == pytest.approx(26_280 * 1.01 * attempt)
    assert money.healed_usd == pytest.approx(2_628_000 * (0.01 - 0.000_001) * 20_000 / 3_600)
    assert money_of(one, attempts=1, callers=1).healed_usd is None


def test_retries_are_never_reckoned_beyond_their_budget():
    """At 90 % failures three retries would be 2.4 per call; the budget allows 0.2."""
    one = one_call(
        "{latency_ms: 1, error_ratio: 0.9, usd_per_call: 1}",
        "{}",
        "    memory_mb: 128\n    requests_per_month: 100\n",
    )
    assert money_of(one, attempts=4, callers=1).retries_usd == pytest.approx(20.0, rel=1e-3)


def test_protection_costs_more_with_every_function():
    """Twelve metrics of $0.30 a function."""
    assert protection_usd(2) - protection_usd(1) == pytest.approx(3.6)


def test_the_first_policy_is_fixed_in_shadow_and_can_be_read():
    """It decides and journals; nobody's traffic hangs on a first guess."""
    text = policy_text(assess(careless()))
    policies = parse_policy(text.encode(), where="policy.yaml")
    payments = policies.for_target("payments-api")
    assert payments.mode is Mode.SHADOW
    assert not payments.retry_adaptive
    assert payments.dwell_s == 300.0
    assert payments.attempts_nominal == 2
    assert policies.for_target("weather").mode is Mode.OFF
    assert "unused" not in policies.targets
    assert "not idempotent, or not known: checkout" in text


@pytest.mark.parametrize(("advice", "adaptive"), [(Advice.MOVE, True), (Advice.STAY, False)])
def test_a_target_is_adaptive_only_where_its_history_proves_it(advice, adaptive):
    """Start fixed; move where frequent false positives are measured, and say so beside the setting."""
    histories = {"payments-api": Recommendation(advice, "fires falsely 9 times", (), None)}
    judged = assess(careless(), histories)
    text = policy_text(judged)
    payments = parse_policy(text.encode(), where="p").for_target("payments-api")
    assert payments.retry_adaptive is adaptive
    assert "fires falsely 9 times" in text
    assert f"history of payments-api: {advice}" in text_of(judged)


def test_thresholds_stand_above_what_is_normal():
    """A target that fails 20 % of the time would be over a fixed 20 % every other minute: 3 x 20 % = 60 %."""
    text = """
version: 1
targets:
  bad: {criticality: 3, error_ratio: 0.2, failures: transient}
  "on": {criticality: 5, error_ratio: 0.2}
functions: {f: {calls: {bad: {idempotent: true}, "on": {}}}}
"""
    policies = parse_policy(
        policy_text(assess(parse_integrations(text.encode(), where="i"))).encode(), where="p"
    )
    bad, on = policies.for_target("bad"), policies.for_target("on")
    assert (bad.retry_floor, bad.open_floor) == (pytest.approx(0.6), 0.9)
    assert (on.retry_floor, on.open_floor) == (pytest.approx(0.6), pytest.approx(0.6))
    assert on.attempts_nominal == on.attempts_min == 1


def test_a_slow_target_gets_the_time_that_its_answers_take():
    """3 x 2 s = 6 s, and 1.2 x 20 s = 24 s are more than 3 x 5 s; under 1 s the preset's second stays."""
    text = """
version: 1
targets:
  model: {criticality: 4, failures: transient, latency_ms: 2000}
  report: {criticality: 4, failures: transient, latency_ms: 5000, latency_p99_ms: 20000}
  quick: {criticality: 4, failures: transient, latency_ms: 100}
functions:
  f:
    timeout_s: 900
    calls: {model: {idempotent: true}, report: {idempotent: true}, quick: {idempotent: true}}
"""
    judged = assess(parse_integrations(text.encode(), where="i"))
    policies = parse_policy(policy_text(judged).encode(), where="p")
    assert policies.for_target("model").attempt_timeout_ms == 6_000
    assert policies.for_target("report").attempt_timeout_ms == 24_000
    assert policies.for_target("quick").attempt_timeout_ms == 1_000
    assert policy_text(judged).count("attempt_timeout_ms") == 2


def test_a_target_as_the_preset_has_it_gets_no_settings():
    """What is written is what differs."""
    text = "version: 1\ntargets: {a: {criticality: 5, failures: transient}}\n"
    text += "functions: {f: {calls: {a: {idempotent: true}}}}"
    assert policy_text(assess(parse_integrations(text.encode(), where="i"))).endswith("  a: {}\n")
    assert policy_text(assess(parse_integrations(b"version: 1\nfunctions: {}", where="i"))).endswith(
        "targets: {}\n"
    )


def test_the_text_says_first_what_to_do_first():
    """Ten steps, then the rest on demand."""
    judged = assess(careless())
    assert "  1. payments-api: let only alarms" in text_of(judged)
    assert f"and {len(gathered(judged.steps)) - 10} more: --all" in text_of(judged)
    assert "more: --all" not in text_of(judged, everything=True)
    assert "called by no function of the map: unused" in text_of(judged)
    assert "nothing: it calls no target: a pure function needs no pattern" in text_of(judged)
    assert judged.worst() is Severity.HIGH
    assert assess(parse_integrations(b"version: 1\nfunctions: {}", where="i")).worst() is None


def test_the_text_says_when_protection_is_not_worth_its_price():
    """$1 an hour x 0.1 % of 730 h is less than any monitoring."""
    text = "version: 1\ntargets: {a: {criticality: 5, sla_ratio: 0.999, usd_per_outage_h: 1}}\n"
    text += "functions: {f: {calls: {a: {}}}}"
    assert "more than its outages cost" in text_of(assess(parse_integrations(text.encode(), where="i")))


def test_the_text_says_what_retries_cost_and_heal():
    """1 % of 2,628,000 calls at $1 and a second of 1 GB, and a hundredth of them again."""
    text = """
version: 1
targets:
  a: {criticality: 5, failures: mixed, error_ratio: 0.01, latency_ms: 1000, usd_per_call: 1,
      usd_per_outage_h: 36}
functions: {f: {trigger: http, memory_mb: 1024, requests_per_month: 2628000, calls: {a: {idempotent: true}}}}
"""
    shown = text_of(assess(parse_integrations(text.encode(), where="i")))
    assert "retries: $26,546 a month" in shown
    assert "healed by retries: $263 a month, if attempts fail independently" in shown


def test_markdown_cannot_be_broken_by_a_name():
    """A pull request's table shows what it was given, and runs nothing."""
    text = (
        "version: 1\ntargets: {a: {criticality: 5}}\nfunctions: {'f|<b>`': {calls: {a: {}}}, g: {calls: {}}}"
    )
    made = markdown_of(assess(parse_integrations(text.encode(), where="i")))
    assert "f\\|&lt;b>'" in made
    assert "<b>" not in made
    rows = [line for line in made.splitlines() if line.startswith("| `")]
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)
    assert "more" in markdown_of(assess(careless()))
    assert "outages a month" not in markdown_of(
        assess(parse_integrations(b"version: 1\nfunctions: {}", where="i"))
    )


def test_json_has_a_schema_and_everything_else():
    """Tools count hazards by kind."""
    plain = plain_of(assess(careless()))
    assert plain["schema"] == 1
    assert {"no-jitter", "no-time-out"} <= {h["kind"] for h in plain["hazards"]}
    assert len(plain["steps"]) == len(assess(careless()).steps)


@pytest.mark.parametrize(
    ("function", "number", "said"),
    [
        (Function(), 3, "not known"),
        (Function(calls={}), 3, "yes: it calls no target"),
        (Function(calls={"a": Call()}), 3, "no"),
        (Function(trigger="queue"), 1, "not known"),
        (Function(trigger="http"), 1, "no"),
        (
            Function(trigger="async", calls={"a": Call(idempotent=False)}),
            1,
            "yes, up to 2 times; not idempotent: a",
        ),
        (Function(trigger="queue"), 2, "no: nobody waits"),
        (Function(provisioned_concurrency=3), 2, "no: 3 environments"),
        (Function(cold_start_ms=900.0, latency_goal_ms=1000.0, duration_ms=50.0), 2, "no: 950 ms"),
        (Function(cold_start_ms=900.0, latency_goal_ms=1000.0, duration_ms=200.0), 2, "yes: 1100 ms"),
    ],
)
def test_each_question_about_a_function_is_answered_or_called_unknown(function, number, said):
    """An answer that the map does not hold names the field that would."""
    answer = of_function(function)[number]
    assert answer.answer.startswith(said)
    assert bool(answer.unknown) == (said == "not known")


@pytest.mark.parametrize(
    ("target", "call", "function", "number", "said"),
    [
        ("{error_ratio: 0.02, sla_ratio: 0.99}", "{}", "", 3, "more than the SLA's 1 %"),
        ("{sla_ratio: 0.99}", "{}", "", 3, "SLA 99 %"),
        ("{}", "{jitter: false}", "", 5, "yes: pauses without jitter"),
        ("{}", "{jitter: false, layers: {}}", "", 5, "no: nobody repeats the call"),
        (
            "{rate_limit_per_s: 2}",
            "{layers: {a: 3}}",
            "    requests_per_month: 2628000\n",
            5,
            "yes: 1/s become 3/s",
        ),
        (
            "{rate_limit_per_s: 4}",
            "{layers: {a: 3}}",
            "    requests_per_month: 2628000\n",
            5,
            "no: at most 3/s",
        ),
        (
            "{rate_limit_per_s: 4, latency_ms: 500}",
            "{}",
            "    reserved_concurrency: none\n",
            5,
            "possible: 2 calls",
        ),
    ],
)
def test_each_question_about_a_call_is_answered_with_its_numbers(target, call, function, number, said):
    """The answer is checked by reading it."""
    one = one_call(target, call, function)
    assert said in of_integration(one, money_of(one, attempts=1, callers=1))[number].answer


RANKED = """
version: 1
targets:
  dear: {criticality: 5, usd_per_outage_h: 12000, outages_per_year: 2, recovery_s: 1800, failures: transient}
  cheap: {criticality: 5, usd_per_outage_h: 120, outages_per_year: 2, recovery_s: 1800, failures: transient}
  unknown: {criticality: 4, failures: transient}
functions:
  a: {trigger: http, criticality: 5, requests_per_month: 100000000, calls: {cheap: {timeout_s: none}}}
  b: {trigger: http, criticality: 5, calls: {dear: {timeout_s: none}}}
  c: {trigger: http, requests_per_month: 1000, calls: {unknown: {timeout_s: none}}}
  d: {trigger: http, requests_per_month: 2000, calls: {unknown: {timeout_s: none}}}
  e: {trigger: http, calls: {unknown: {timeout_s: none}}}
"""


def test_what_costs_most_comes_first_then_what_is_critical_then_what_is_busy():
    """2 x 0.5 h a year x $12,000 = $1,000 a month; $10 for the cheap one, however many requests it has."""
    judged = assess(parse_integrations(RANKED.encode(), where="i"))
    steps = [step for step in judged.steps if step.severity is Severity.HIGH]
    assert [(step.where, step.usd) for step in steps] == [
        ("b -> dear", pytest.approx(1_000.0)),
        ("a -> cheap", pytest.approx(10.0)),
        ("d -> unknown", None),
        ("c -> unknown", None),
        ("e -> unknown", None),
    ]


def test_protection_has_to_earn_what_retries_cost_too():
    """Both are paid: of $1,000 of outages a month, their share has to be avoided."""
    one = one_call(
        "{criticality: 5, latency_ms: 300, error_ratio: 0.01, usd_per_call: 0.001, usd_per_outage_h: 12000,"
        " outages_per_year: 2, recovery_s: 1800}",
        "{idempotent: true}",
        "    memory_mb: 512\n    requests_per_month: 2628000\n",
    )
    money = money_of(one, attempts=3, callers=1)
    assert money.retries_usd == pytest.approx(26_280 * 1.01 * (0.001 + 0.3 * 0.5 * 0.000_013_333_4))
    assert money.share_needed == pytest.approx((protection_usd(1) + money.retries_usd) / 1_000.0)
    assert money_of(one, attempts=1, callers=1).share_needed == pytest.approx(protection_usd(1) / 1_000.0)
    assert money_of(one, attempts=1, callers=4).outage_usd == pytest.approx(250.0)


def test_questions_name_the_fields_that_are_missing_and_no_other():
    """A field that is there is not asked for again."""
    judged = assess(parse_integrations(RANKED.replace("c: {", "c: {memory_mb: 512, ").encode(), where="i"))
    asked = judged.questions()
    assert asked["latency_ms"] == ["c -> unknown"]
    assert "c -> unknown" not in asked["latency_ms, memory_mb"]
    assert judged.unknown() == sum(len(places) for places in asked.values())


def test_what_is_done_for_the_same_reason_is_one_step_with_its_places():
    """Ten times the same line says less than one with ten names; the dearest place says why."""
    judged = assess(parse_integrations(RANKED.encode(), where="i"))
    (first, places), *_ = gathered(judged.steps)
    assert first.where == "b -> dear"
    assert places == ["b -> dear", "a -> cheap", "d -> unknown", "c -> unknown", "e -> unknown"]
    said = "  1. b -> dear, a -> cheap, d -> unknown, c -> unknown and 1 more: set a time-out"
    assert said in text_of(judged)
    assert "[outages $1,000 a month at the first]" in text_of(judged)
    assert "c -> unknown, e -> unknown: set a time-out" in text_of(judged, everything=True)
    assert sum(len(places) for _, places in gathered(judged.steps)) == len(judged.steps)


def test_markdown_of_a_large_fleet_fits_a_comment():
    """GitHub takes 65,536 characters; what is left out is counted."""
    functions = "".join(
        f"  function-number-{n}: {{calls: {{payments-api: {{timeout_s: none}}}}}}\n" for n in range(300)
    )
    text = f"version: 1\ntargets: {{payments-api: {{}}}}\nfunctions:\n{functions}"
    made = markdown_of(assess(parse_integrations(text.encode(), where="i")))
    assert len(made) < 65_536
    assert "and 260 integrations more" in made
