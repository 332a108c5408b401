"""The other half of `article_rows`: how to work, pitfalls, money, the checklist."""

from __future__ import annotations

from docs.article_rows import CHAOS, CLIENT, INFRA, PATTERNS, PLATFORM, STATE, UNIT, Row
from flyball import aws, calling, sources
from flyball.contract import BOUNDS
from flyball_analytics.assess import advice, facts

WORK: dict[str, Row] = {
    "Map every dependency: latency, error codes, availability, limits": Row(
        (UNIT + "assess/test_cli_zero.py::test_map_drafts_from_source_what_assess_reads",), commands=("map",)
    ),
    "Score criticality from 1 to 5 by business impact": Row(
        (UNIT + "assess/test_advice.py::test_an_integration_is_as_critical_as_the_lesser_of_its_ends",)
    ),
    "Transient or permanent?": Row(
        (
            UNIT + "assess/test_advice.py::test_a_retry_is_refused_with_its_reason",
            CLIENT + "test_call.py::test_each_outcome_has_its_own_count",
        )
    ),
    "A retry library (Tenacity, async-retry)": Row(
        (
            CLIENT + "test_interop_tenacity.py::test_a_decorated_function_obeys_the_target",
            CLIENT + "test_interop_stamina.py::test_staminas_own_decorator_takes_attempts_that_change",
        )
    ),
    "Health check, breaker, pre-check": Row(
        (UNIT + "probes/test_probed.py::test_three_good_checks_half_open_a_dead_target",)
    ),
    "Chaos experiments, also for 429": Row(
        (CHAOS + "test_experiments.py::test_a_throttled_target_is_waited_for_longer_than_a_failing_one",),
        files=("scenarios/throttling.yaml",),
    ),
    "Share the results": Row(commands=("report", "assess --format")),
    "Look at it again regularly": Row(
        (UNIT + "assess/test_cli_zero.py::test_assess_fails_a_build_only_on_what_was_named",),
        commands=("assess --fail-on", "thresholds", "compare"),
    ),
}
PITFALLS: dict[str, Row] = {
    "Retries without end": Row(
        (CLIENT + "test_call.py::test_attempts_keep_ladder_budget_and_deadline",),
        hazards=("unbounded-retries",),
        says=(("never more than 4 attempts", BOUNDS["retry"]["max_attempts"][1], 4),),
    ),
    "Stale circuit": Row(
        (
            CLIENT + "test_sources.py::test_freshness_needs_both_clocks",
            CLIENT
            + "test_circuit_store.py::test_whatever_replicas_answer_the_version_obeyed_never_goes_back",
            INFRA
            + "test_events.py::test_a_dead_controller_releases_what_it_published_within_a_minute_and_a_half",
        )
    ),
    "Latency of lookups": Row(
        (CLIENT + "test_circuit_store.py::test_a_thousand_tasks_read_nothing_between_refreshes",),
        says=(("caches of 5 s", sources.CIRCUIT_AGE_S, 5.0), ("0.3 s at most", aws.TIMEOUT_S, 0.3)),
    ),
    "Patterns everywhere": Row(
        (UNIT + "assess/test_advice.py::test_nothing_is_advised_where_nothing_helps",),
        says=(("internal calls of 10 ms", advice.FAST_MS, 10.0),),
    ),
    "Cold starts that become retries": Row(
        (CLIENT + "test_call.py::test_the_first_attempt_of_a_cold_environment_may_take_three_times_as_long",),
        hazards=("no-provisioned-concurrency",),
        says=(("three times the attempt time-out", calling.COLD_FACTOR, 3.0),),
    ),
    "Thresholds so high that a breaker hides trouble": Row(
        (CLIENT + "test_telemetry.py::test_short_circuited_calls_alone_are_worth_a_line",),
        commands=("score",),
    ),
    "Exhausted connection pools, rate limits of a dependency": Row(
        (
            CLIENT + "test_bulkhead.py::test_asyncio_tasks_never_exceed_it",
            UNIT + "assess/test_advice.py::test_a_rate_limit_bounds_concurrency_by_littles_law",
        )
    ),
}
MONEY: dict[str, Row] = {
    "Know what resilience costs: retries, state store, monitoring": Row(
        (UNIT + "cost/test_cost.py::test_retries_cost_the_callers_time_and_what_the_target_charges",),
        commands=("cost --retries-ratio",),
    ),
    "Compare it with an hour's outage": Row(
        (
            UNIT + "cost/test_cost.py::test_the_break_even_is_stated_in_minutes_and_in_requests",
            UNIT + "assess/test_assessment.py::test_outages_are_reckoned_by_what_was_stated_before_the_sla",
        ),
        commands=("cost --usd-per-outage-h", "assess"),
    ),
    "Choose managed, open source or mixed monitoring by your team": Row(
        (UNIT + "analytics/test_dashboards.py::test_the_grafana_model_has_what_an_import_needs",),
        commands=("dashboard --format", "ingest prometheus"),
        files=("client/flyball/otel.py",),
    ),
    "On-demand capacity can become costly with many writes": Row(
        (UNIT + "cost/test_cost.py::test_twenty_targets_cost_what_the_reference_says",)
    ),
}
CHECKLIST: dict[str, Row] = {
    "critical": Row(
        (UNIT + "assess/test_advice.py::test_a_breaker_protects_what_is_critical_or_fails_slowly",),
        says=(("at 4 and 5", (facts.CRITICAL, facts.MINOR), (4, 2)), ("for a second", advice.HOLDS_S, 1.0)),
    ),
    "permanent errors": Row(
        (
            UNIT + "assess/test_advice.py::test_a_retry_is_refused_with_its_reason",
            CLIENT + "test_call.py::test_each_outcome_has_its_own_count",
        )
    ),
    "not idempotent": Row(
        (
            CLIENT + "test_call.py::test_a_call_that_is_not_idempotent_is_never_retried",
            CLIENT + "test_deadletter.py::test_a_fallback_answers_once_the_letter_is_kept",
        )
    ),
    "SLA and error ratio": Row(
        (
            UNIT + "assess/test_assessment.py::test_thresholds_stand_above_what_is_normal",
            UNIT + "assess/test_assessment.py::test_a_target_is_adaptive_only_where_its_history_proves_it",
        )
    ),
    "cost of a retry": Row(
        (UNIT + "assess/test_assessment.py::test_retries_cost_and_heal_by_the_normal_error_rate",)
    ),
    "a herd": Row(
        (CLIENT + "test_copies.py::test_two_forks_do_not_draw_the_same_jitter",),
        hazards=("no-jitter",),
    ),
}
ROWS: dict[str, Row] = {**PATTERNS, **PLATFORM, **STATE, **WORK, **PITFALLS, **MONEY, **CHECKLIST}
