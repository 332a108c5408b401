"""What stands behind each row of docs/article.md: tests, commands, hazards, numbers.

The key is a row's first cell, without marks of code. `tests` are `file::name`
under tests/ (they prove what the row says), `commands` what a user types, `hazards`
what `flyball assess` finds, `files` what is shipped. `says` are pieces of the row with
the value in the code that they speak of and the value that they claim: if either
moves, the row has to.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball import aws, breaker, calling, sources
from flyball.contract import BOUNDS, DEFAULT_PARAMS, FLEET
from flyball_analytics.assess import facts, hazards
from flyball_controller import probes
from flyball_controller.core.policy import Policy
from flyball_controller.policy_set import load_preset

P = Policy()
RETRY = DEFAULT_PARAMS.retry


def preset(name: str) -> Policy:
    """Return what a shipped preset sets for every target."""
    return load_preset(name).default


class Row(NamedTuple):
    """Evidence of one row."""

    tests: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    says: tuple[tuple[str, object, object], ...] = ()


CLIENT, CORE, INFRA = "unit/client/", "unit/core/", "integration/infra/"
UNIT, CHAOS, SETTINGS = "unit/", "chaos/", "unit/controller/test_client_settings.py::"
PATTERNS: dict[str, Row] = {
    "Bounded retries, 3 as a rule (3–5)": Row(
        (CLIENT + "test_call.py::test_attempts_keep_ladder_budget_and_deadline",),
        says=(
            ("`attempts_nominal: 4`", P.attempts_nominal, 4),
            ("never more than 4 attempts", BOUNDS["retry"]["max_attempts"], (1, 4)),
        ),
    ),
    "Exponential back-off with jitter, 1 s doubling to 10 s": Row(
        (
            CLIENT + "test_backoff.py::test_the_range_doubles_with_each_retry",
            SETTINGS + "test_waits_time_out_and_places_of_a_target_stand_in_its_parameters",
        ),
        says=(
            ("base 100 ms, cap 2 s", (P.base_ms, P.cap_ms, RETRY.base_ms, RETRY.cap_ms), (100, 2_000) * 2),
            ("their own 1 s base", P.throttle_base_ms_nominal, 1_000),
        ),
    ),
    "Total retry time within the function's time-out": Row(
        (
            CLIENT + "test_guard_process.py::test_an_invocation_sets_the_deadline_and_writes_the_metrics",
            CLIENT + "test_call.py::test_a_retry_that_could_not_be_made_in_time_is_not_waited_for",
        ),
    ),
    "Tell transient from permanent errors; never retry permanent ones": Row(
        (
            CLIENT + "test_classify.py::test_an_exception_is_read_by_what_it_carries",
            CLIENT + "test_classify.py::test_declared_exceptions_are_failures_of_the_target",
            CLIENT + "test_call.py::test_the_callers_own_faults_are_not_retried",
            CLIENT + "test_call.py::test_each_outcome_has_its_own_count",
        ),
    ),
    "Retry only what is idempotent": Row(
        (CLIENT + "test_call.py::test_a_call_that_is_not_idempotent_is_never_retried",),
    ),
    "429 needs a longer back-off": Row(
        (
            CLIENT + "test_call.py::test_a_throttled_call_waits_from_its_own_longer_base",
            CORE + "test_two_loop.py::test_throttling_asks_for_patience_not_for_retries",
        ),
        says=(("raises it to 4 s", P.throttle_base_ms_throttled, 4_000),),
    ),
    "Fewer retries (3 → 1) when errors exceed 20 %, back step by step": Row(
        (
            CORE + "test_ladder.py::test_over_twenty_percent_three_retries_become_one",
            CORE + "test_ladder.py::test_retries_come_back_one_by_one_as_it_normalises",
        ),
        says=(
            ("preset `ladder`", (preset("ladder").retry_floor, preset("ladder").attempts_min), (0.2, 2)),
            ("(and `fixed`)", (preset("fixed").retry_floor, preset("fixed").attempts_min), (0.2, 2)),
        ),
    ),
    "Dynamic retry parameters through AppConfig, no redeployment": Row(
        (
            UNIT + "aws/test_publish_plan.py::test_nothing_passes_a_full_hour",
            UNIT + "aws/test_publish_plan.py::test_content_that_stands_is_never_deployed_again",
        ),
        says=(("at most 12 deployments", P.changes_per_h_max, 12),),
    ),
    "Circuit state in DynamoDB, keyed by service and function": Row(
        (CLIENT + "test_aws.py::test_the_functions_own_item_and_the_fleets_are_read_in_one_request",),
        says=(("`*` for the fleet", FLEET, "*"),),
    ),
    "Light circuit state: status, last change, error count": Row(
        (CLIENT + "test_circuit_item.py::test_an_item_is_plain_typed_attributes",),
    ),
    "Optimistic locking": Row(
        (
            UNIT + "local/test_dynamodb.py::test_of_concurrent_conditional_writes_none_is_lost",
            UNIT + "aws/test_checkpoints.py::test_an_own_lost_reply_counts_as_saved",
        )
    ),
    "State expires after 60 s": Row(
        (CLIENT + "test_breaker_published.py::test_after_its_expiry_an_open_circuit_is_half_open",),
        says=(("| 90 s:", P.valid_for_s, 90.0), ("`ladder` ships 60", preset("ladder").valid_for_s, 60.0)),
    ),
    "Local cache of circuit state, 5 s": Row(
        (
            CLIENT + "test_sources.py::test_a_value_is_read_once_per_age",
            CLIENT + "test_sources.py::test_environments_that_started_together_do_not_read_together",
        ),
        says=(("cache 5 s", sources.CIRCUIT_AGE_S, 5.0),),
    ),
    "Health check every 30–60 s, 5 min for the uncritical": Row(
        (
            UNIT
            + "probes/test_probe_run.py::test_over_an_hour_each_check_is_due_as_often_as_its_interval_says",
            INFRA + "test_probe.py::test_every_minute_the_targets_of_the_policy_are_checked",
        ),
        says=(
            (
                "60 s for critical targets, 300 s for others, down to 30 s",
                (probes.CRITICAL_S, probes.OTHERS_S, probes.SLOT_S),
                (60, 300, 30),
            ),
        ),
    ),
    "Breaker threshold at 50 % over the observed baseline": Row(
        (CORE + "test_threshold.py::test_the_half_more_rule_is_the_same_formula",),
        files=("benchmarks/bench_thresholds.py",),
        says=(("`open_multiple: 1.5`", preset("ladder").open_multiple, 1.5),),
    ),
    "Adaptive threshold at 2× a rolling average": Row(
        (CORE + "test_ladder.py::test_the_adaptive_preset_knows_a_bad_hour_and_the_fixed_one_does_not",),
        files=("benchmarks/bench_thresholds.py",),
        says=(("`retry_multiple: 2.0`", preset("adaptive").retry_multiple, 2.0),),
    ),
    "Moving average or exponential smoothing, with a tuned factor": Row(
        (CORE + "test_baseline.py::test_the_first_windows_give_the_plain_mean",),
        commands=("tune",),
        says=(("(12 h)", P.half_life_s, 12 * 3_600.0),),
    ),
    "Learn periodic spikes (hourly batch)": Row(
        (
            CORE + "test_baseline.py::test_an_hourly_batch_is_known_after_three_visits",
            UNIT + "thresholds/test_laws_in_histories.py::test_a_weekly_cycle_is_known_after_three_weeks",
        ),
    ),
    "Start with fixed thresholds, go adaptive after frequent false positives": Row(
        (UNIT + "assess/test_assessment.py::test_a_target_is_adaptive_only_where_its_history_proves_it",),
        commands=("thresholds",),
    ),
    "Cool-down fitted to the target's recovery time": Row(
        (
            CORE + "test_two_loop.py::test_a_relapse_doubles_the_hold",
            UNIT + "assess/test_assessment.py::test_the_first_policy_is_fixed_in_shadow_and_can_be_read",
        ),
    ),
    "Half-open with a limited number of trial requests": Row(
        (
            CORE + "test_two_loop.py::test_probes_have_a_floor_per_minute",
            CLIENT
            + "test_breaker_local.py::test_probes_in_flight_are_bounded_and_abandoned_ones_free_their_slots",
        ),
        says=(("at least 6 probes a minute", P.probe_per_min_min, 6.0),),
    ),
    "Retries for what passes soon, a breaker for what lasts; begin with retries": Row(
        (
            CORE + "test_two_loop.py::test_partial_fast_failures_raise_the_budget_where_capacity_is_proven",
            CORE + "test_two_loop.py::test_death_opens_with_probes",
            CORE + "test_two_loop.py::test_a_lasting_deficit_is_shed_to_the_measured_capacity",
        ),
    ),
    "Fallback answer when open": Row(
        (CLIENT + "test_guard.py::test_a_fallback_answers_for_calls_not_made_and_for_the_targets_failures",),
    ),
    "Longer first time-out for cold starts": Row(
        (CLIENT + "test_call.py::test_the_first_attempt_of_a_cold_environment_may_take_three_times_as_long",),
        says=(("three times the attempt time-out", calling.COLD_FACTOR, 3.0),),
    ),
    "Dead-letter queue after the last retry": Row(
        (
            CLIENT + "test_deadletter_forms.py::test_a_loop_keeps_its_payload_after_the_last_attempt",
            INFRA + "test_events.py::test_a_message_that_nobody_can_read_ends_alone_in_the_dead_letter_queue",
        ),
        commands=("redrive",),
    ),
    "Separate critical from other workloads": Row(
        (
            CLIENT + "test_bulkhead.py::test_the_third_of_two_is_turned_away_and_may_come_again_at_once",
            CLIENT + "test_bulkhead.py::test_there_is_none_by_default",
        ),
        says=(("bulkhead off", P.max_concurrent, 0),),
    ),
    "Validate with chaos experiments in CI": Row(
        (
            CHAOS + "test_chaos_command.py::test_run_ends_with_one_if_a_promise_is_broken_and_says_which",
            CLIENT + "test_faults.py::test_a_share_of_attempts_meets_the_fault_and_a_seed_repeats_the_choice",
        ),
        commands=("chaos run", "test"),
        files=("infra/chaos", "client/flyball/faults.py", "client/flyball/testing.py"),
    ),
    "Alert when the health check fails": Row(
        (
            INFRA + "test_events.py::test_a_silent_controller_is_told_of",
            INFRA + "test_events.py::test_targets_without_any_metrics_are_told_of",
            INFRA + "test_probe.py::test_a_probe_that_is_not_called_any_more_is_an_alarm_and_nothing_else",
            INFRA + "test_probe.py::test_a_check_that_cannot_be_made_is_an_alarm_of_its_own",
        ),
    ),
    "No pattern for pure functions; no breaker where a lookup costs too much": Row(
        (
            UNIT + "assess/test_hazards.py::test_a_pure_function_has_no_hazard_of_calls_and_needs_no_pattern",
            UNIT + "assess/test_advice.py::test_a_breaker_is_refused_with_its_reason",
            CLIENT + "test_quiet_path.py::test_a_healthy_call_makes_no_call_object",
        ),
    ),
}
PLATFORM: dict[str, Row] = {
    "Do not keep Lambda's 3 s time-out; set it from measured durations": Row(
        (
            UNIT + "assess/test_advice.py::test_every_call_gets_a_time_out_from_its_latency",
            UNIT + "assess/test_assessment.py::test_a_slow_target_gets_the_time_that_its_answers_take",
        ),
        hazards=("default-time-out",),
        says=(
            ("Lambda's 3 s", hazards.LAMBDA_DEFAULT_TIMEOUT_S, 3.0),
            ("3 x the median", facts.TIMEOUT_MULTIPLE, 3.0),
            ("1.2 x the 99th percentile", facts.P99_MARGIN, 1.2),
            ("default of 1 s", P.attempt_timeout_ms, 1_000),
        ),
    ),
    "The function's time-out is its longest duration, retries included; 3 x the average as a rule": Row(
        (UNIT + "assess/test_advice.py::test_a_retry_that_cannot_end_in_time_is_refused",),
        hazards=("retries-outlast-function", "time-out-under-p99"),
    ),
    "No silent loss: what cannot be processed goes somewhere": Row(
        ("docs/test_examples.py::test_the_worker_example_leaves_only_bad_orders_to_people",),
        hazards=("no-dead-letters",),
        files=("examples/worker/README.md",),
    ),
    "Notice functions that are near their limits": Row(
        (CLIENT + "test_telemetry.py::test_a_flush_writes_one_document_with_all_counts",),
    ),
    "Asynchronous invocations have retries of their own; orchestrate the rest in Step Functions": Row(
        (
            UNIT + "assess/test_hazards.py::test_two_bounded_layers_are_multiplied",
            "docs/test_examples.py::test_the_steps_example_charges_every_order_once",
        ),
        hazards=("stacked-retries",),
        files=("examples/steps/README.md",),
    ),
    "Small functions with one duty; critical ones in a pool of their own": Row(
        (UNIT + "assess/test_advice.py::test_a_rate_limit_bounds_concurrency_by_littles_law",),
        hazards=("shared-concurrency", "minor-call-holds-critical"),
    ),
    "Answer 503 or a cached answer at once while the circuit is open": Row(
        (CLIENT + "test_fallback_reason.py::test_a_rejection_reaches_the_fallback_with_its_waiting_time",),
        files=("examples/payments/README.md",),
    ),
}
STATE: dict[str, Row] = {
    "External store: DynamoDB or Redis": Row(
        (CHAOS + "test_stability_stores.py::test_dynamodb_killed_the_last_word_holds_until_its_end",)
    ),
    "A cache (DAX, ElastiCache) before it, against read load and throttling": Row(
        (
            CLIENT + "test_aws.py::test_many_targets_are_read_in_as_few_requests_as_there_may_be",
            CLIENT + "test_circuit_store.py::test_a_thousand_tasks_read_nothing_between_refreshes",
            CLIENT
            + "test_circuit_store.py::test_what_is_known_holds_while_the_store_is_down_and_ends_by_itself",
        ),
        says=(("caches for 5 s", sources.CIRCUIT_AGE_S, 5.0),),
    ),
    "A sidecar that looks up the state": Row(
        (
            CLIENT + "test_sources.py::test_the_agent_is_asked_by_its_path",
            CLIENT + "test_aws.py::test_its_own_client_waits_little_and_tries_once",
        ),
        says=(("0.3 s at most", aws.TIMEOUT_S, 0.3),),
    ),
    "The check should cost under 10 ms": Row(files=("benchmarks/client_overhead.py",)),
    "Service meshes (App Mesh, Istio)": Row(files=("docs/comparison.md",)),
    "One table for all circuits, isolated per integration": Row(
        (CLIENT + "test_aws.py::test_the_functions_own_item_and_the_fleets_are_read_in_one_request",),
        files=("benchmarks/bench_scale.py", "docs/how-to/scale.md"),
    ),
    "AWS, Azure or Google": Row(files=("SCOPE.md",)),
    "Load-test the store at peak concurrency": Row(
        files=("benchmarks/bench_scale.py", "benchmarks/bench_soak.py", "docs/how-to/real-account.md")
    ),
    "After its TTL, an entry counts as half-open (or closed)": Row(
        (CLIENT + "test_breaker_published.py::test_after_its_expiry_an_open_circuit_is_half_open",),
        says=(("after 300 s", breaker.EXPIRED_PROBE_S, 300.0),),
    ),
}
