"""Every word that a person reads about a decision: reasons, regimes and actions, in one place.

Decisions carry `Reason` members and numbers (core/model.py); only here do they
become sentences, so that text, report and explanation can never disagree. A
sentence says what was measured, what it was compared with and how much stood
behind it. Knows no policy, no history and no output format.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flyball.contract import CircuitState
from flyball_analytics.moments import span_words, utc
from flyball_controller.core.model import Evidence, Reason, Regime, Setpoint


def confidence(share: float) -> str:
    """Return how far a baseline is known; while it is young, thresholds keep a margin.

    >>> confidence(0.397), confidence(1.0)
    ('confidence 39.7 %, grows with history', 'confidence 100 %')
    """
    words = percent(share)
    return f"confidence {words}" if words == percent(1.0) else f"confidence {words}, grows with history"


def percent(ratio: float) -> str:
    """Return a share in percent with three significant digits.

    >>> percent(0.2), percent(0.01234), percent(1.0)
    ('20 %', '1.23 %', '100 %')
    """
    return f"{ratio * 100.0:.3g} %"


def _count(value: float) -> str:
    return f"{value:.10g}"


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms"


def _per_minute(value: float) -> str:
    return f"{value:.3g}/min"


def _per_second(value: float) -> str:
    return f"{value:.3g}/s"


def _moment(value: float) -> str:
    """Return a moment as text; any number is printable, also one that no calendar has."""
    try:
        return utc(value)
    except (ValueError, OverflowError, OSError):
        return f"{value:g}"


class Words(NamedTuple):
    """How one reason is said (`sentence`), in which unit its numbers are, and what it means (`explain`)."""

    sentence: str  # {measured} {threshold} {n} {confidence}
    unit: Callable[[float], str]
    meaning: str


R = Reason
WORDS: dict[Reason, Words] = {
    R.NOTHING_NEW: Words(
        "nothing new to judge",
        _count,
        "No window arrived that was not judged before. The last decision stands.",
    ),
    R.HEALTHY: Words(
        "healthy: error rate {measured}, trip at {threshold} ({n} requests)",
        percent,
        "Failures of first attempts are within what is normal for this target.",
    ),
    R.NOT_ENOUGH_DATA: Words(
        "not enough data: {n} requests, {threshold} are needed",
        _count,
        "The windows pooled so far hold too few requests or errors to decide anything. "
        "policy.min_requests, min_errors and pool_s_max set how much is enough.",
    ),
    R.ERROR_RATE_OVER_TRIP: Words(
        "error rate at least {measured}, over the trip threshold {threshold} ({n} requests)",
        percent,
        "Even the lower confidence bound of the failed share of first attempts is over the trip threshold.",
    ),
    R.TIMEOUTS_OVER_TRIP: Words(
        "time-outs at least {measured} of requests, over {threshold} ({n} requests)",
        percent,
        "The target cannot keep up. Retries would keep it down, so the retry budget goes to 0.",
    ),
    R.THROTTLES_DOMINATE: Words(
        "throttles are {measured} of the failures, more than {threshold} ({n} requests)",
        percent,
        "The target refuses by rate. Retrying sooner wins nothing; clients pause longer.",
    ),
    R.NEARLY_ALL_FAIL: Words(
        "nearly all fail: error rate at least {measured}, over {threshold} ({n} requests)",
        percent,
        "The target is as good as dead. Traffic is cut but for probes.",
    ),
    R.LATENCY_OVER_BASELINE: Words(
        "p99 latency {measured}, over {threshold} for this target ({n} requests)",
        _milliseconds,
        "Slow and failing at once is taken for saturation even where time-outs are not counted.",
    ),
    R.RETRIES_DO_NOT_HELP: Words(
        "retries do not help: {measured} of requests still fail, {threshold} is explained ({n} requests)",
        percent,
        "Requests fail with retries nearly as without: the fault sits in the data, a shard or a deployment.",
    ),
    R.ERROR_RATE_OVER_BASELINE: Words(
        "error rate at least {measured}, over {threshold} from the baseline ({n} requests)",
        percent,
        "The failed share is well over what is normal for this target at this time.",
    ),
    R.STILL_SATURATED: Words(
        "still saturated after {measured} windows without retries ({threshold} allowed)",
        _count,
        "Without retries the target still cannot keep up: it lacks capacity, so a share of calls is shed.",
    ),
    R.HEADROOM_PROVEN: Words(
        "headroom: {measured} attempts expected, {threshold} allowed by what was served before",
        _per_second,
        "The target has served nearly as many attempts while healthy, so more retries are safe.",
    ),
    R.NO_HEADROOM: Words(
        "no proven headroom: {measured} attempts expected, {threshold} allowed by what was served before",
        _per_second,
        "More retries would mean more attempts than it ever served while healthy: one step at a time.",
    ),
    R.OPEN_PROVEN: Words(
        "normal service shows such failures once in {measured} or more rarely; {threshold} are promised",
        span_words,
        "The evidence is rarer than the false opens that the policy tolerates: policy.false_opens_per_year.",
    ),
    R.OPEN_UNPROVEN: Words(
        "not opened yet: normal service shows such failures once in {measured}, {threshold} are promised",
        span_words,
        "Enough to stop retrying, which is cheap to take back; cutting traffic needs rarer evidence. "
        "policy.promise, false_opens_per_year and normal_floor set how rare.",
    ),
    R.ERROR_RATE_UNDER_RESET: Words(
        "clean: error rate {measured}, under the reset threshold {threshold} ({n} requests)",
        percent,
        "The failed share is under the reset threshold, and its upper bound is under the reset level.",
    ),
    R.STEP_RESTORED: Words(
        "one step restored after {measured} clean windows ({threshold} needed)",
        _count,
        "Loosening goes one step at a time, and only after the last change has settled.",
    ),
    R.RESTORED_TO_NOMINAL: Words(
        "back to nominal after {measured} clean windows ({threshold} needed)",
        _count,
        "Everything that was tightened is restored.",
    ),
    R.WAITING_TO_SETTLE: Words(
        "waiting for the last change to take effect: window {measured}, settled from {threshold}",
        _moment,
        "Windows that began before the last change reached the clients say nothing about it.",
    ),
    R.WAITING_FOR_HOLD: Words(
        "clean, waiting: {measured} of {threshold} clean windows",
        _count,
        "Loosening waits for several clean windows; the number doubles if trouble came back soon.",
    ),
    R.BETWEEN_TRIP_AND_RESET: Words(
        "error rate {measured}: neither proven over the trip threshold {threshold} nor clean ({n} requests)",
        percent,
        "Inside the band nothing changes in either direction; that is what prevents chatter.",
    ),
    R.PROBES_SUCCEEDED: Words(
        "clean while restricted: {measured} of the calls flow, {threshold} were admitted ({n} requests)",
        percent,
        "What was let through while the circuit was restricted came back clean.",
    ),
    R.CHECKS_SUCCEEDED: Words(
        "{measured} checks in a row succeeded, {threshold} were needed",
        _count,
        "The probe function's own calls to the target went well; they can only loosen, one step at a time.",
    ),
    R.OBSERVATION_LATE: Words(
        "late or repeated: window {measured} is not newer than {threshold}",
        _moment,
        "A window that is not newer than the newest judged one changes nothing.",
    ),
    R.OBSERVATION_INVALID: Words(
        "impossible numbers, not used",
        _count,
        "The window contradicts itself (more errors than requests, a negative count, not a number).",
    ),
    R.OBSERVATION_MISSING: Words(
        "no data for this window; none for {measured} (blind after {threshold})",
        span_words,
        "A scheduled look found nothing. Missing is not zero: nothing is learned, nothing is loosened.",
    ),
    R.OBSERVATION_PARTIAL: Words(
        "window incomplete: may tighten, never loosens",
        _count,
        "The counts were still arriving; they are a lower bound.",
    ),
    R.SILENCE_AT_NORMAL_LATENCY: Words(
        "part of the calls get no answer while the median takes {measured}, under {threshold} ({n} requests)",
        _milliseconds,
        "A queue delays every call; where the rest is as quick as ever, some node swallows its calls.",
    ),
    R.OBSERVATION_STALE: Words(
        "seen {measured} after its end (acted upon within {threshold}): teaches, does not act",
        span_words,
        "The controller was away or the metric came late; acting on the past would help nobody now.",
    ),
    R.BLIND_TOO_LONG: Words(
        "blind: no data for {measured}, more than {threshold}",
        span_words,
        "Without data for so long the last evidence is stale; restrictions run out by themselves.",
    ),
    R.RETRIES_REPAIR: Words(
        "calls time out, but only {measured} of the requests fail for good, under {threshold} ({n} requests)",
        percent,
        "In a full queue a retry times out like the first attempt; where it does not, retries repair.",
    ),
    R.CLAMPED_TO_BOUND: Words(
        "wanted {measured} (attempts, or retry budget), the bound is {threshold}",
        _count,
        "A guardrail cut the wish to what a client may obey.",
    ),
    R.SLEW_LIMITED: Words(
        "wanted {measured} attempts, one step allows {threshold}",
        _count,
        "A guardrail limits how far one decision may loosen.",
    ),
    R.OPEN_SHARE_LIMITED: Words(
        "not opened: automation may hold at most {threshold} of the targets open",
        percent,
        "Automation cuts off at most a stated share of the fleet.",
    ),
    R.CORRELATED_FAILURE_FREEZE: Words(
        "loosening waits: several targets tightened together",
        _count,
        "When many targets fail at once the cause is shared; restores are staggered.",
    ),
    R.OPERATOR_HOLD: Words(
        "held by an operator for another {measured}",
        span_words,
        "An operator's hold is in force; it wins over automation until it expires or is released.",
    ),
    R.OPERATOR_HOLD_EXPIRED: Words(
        "the operator's hold expired {measured} ago",
        span_words,
        "Automation decides again.",
    ),
    R.MODE_OFF: Words("mode off: nothing is decided", _count, "policy.mode is off for this target."),
    R.MODE_SHADOW: Words(
        "mode shadow: decided, not applied",
        _count,
        "policy.mode is shadow: what would be done is recorded beside what stays.",
    ),
    R.TRAFFIC_TOO_LOW_TO_OPEN: Words(
        "not opened: {measured} of traffic, {threshold} are needed to judge an open circuit",
        _per_minute,
        "With so few calls an open circuit would have too few probes to close again.",
    ),
    R.GUARDRAIL_FAILED: Words(
        "a guardrail failed: the last applied value is kept",
        _count,
        "A guardrail could not judge the wish. It never fails open: nothing changes.",
    ),
    R.LEARNING_FROZEN: Words(
        "baseline frozen",
        _count,
        "Nothing is learned while the target is not nominal, so that an incident never becomes normal.",
    ),
    R.NEW_NORMAL_ACCEPTED: Words(
        "new normal accepted: off nominal for {measured}, more than {threshold}",
        span_words,
        "What lasts this long is no incident; the baseline learns it.",
    ),
    R.COLD_START: Words(
        "cold start: little history, thresholds are wider",
        percent,
        "The baseline is young; adaptive thresholds keep a margin that shrinks as history grows.",
    ),
    R.CHECKPOINT_RESET: Words(
        "the stored state was unreadable: started anew",
        _count,
        "The checkpoint was corrupt or of another version. Learning starts again.",
    ),
}

REGIME_WORDS: dict[Regime, str] = {
    Regime.NOMINAL: "nominal",
    Regime.SATURATED: "saturated",
    Regime.DEAD: "dead",
    Regime.BROKEN: "broken",
    Regime.THROTTLED: "throttled",
    Regime.USELESS_RETRIES: "useless retries",
    Regime.RECOVERING: "recovering",
    Regime.BLIND: "blind",
}

CIRCUIT_WORDS: dict[CircuitState, str] = {
    CircuitState.CLOSED: "closed",
    CircuitState.HALF_OPEN: "half-open",
    CircuitState.OPEN: "open",
    CircuitState.FORCED_OPEN: "forced open",
    CircuitState.FORCED_CLOSED: "forced closed",
}


def sentence(evidence: Evidence) -> str:
    """Return one reason in words, with its numbers.

    >>> sentence(Evidence(Reason.ERROR_RATE_OVER_TRIP, 0.31, 0.08, 120, 1.0))
    'error rate at least 31 %, over the trip threshold 8 % (120 requests)'
    """
    words = WORDS[evidence.reason]
    return words.sentence.format(
        measured=words.unit(evidence.measured),
        threshold=words.unit(evidence.threshold),
        n=evidence.n,
        confidence=percent(evidence.confidence),
    )


# They accompany nearly every change and explain none; the journal has them.
BACKGROUND = frozenset({Reason.LEARNING_FROZEN, Reason.COLD_START})


def reasons(evidence: tuple[Evidence, ...]) -> str:
    """Return the reasons of a decision in the order given; background notes only where they stand alone."""
    told = [item for item in evidence if item.reason not in BACKGROUND]
    return "; ".join(sentence(item) for item in told or evidence)


def action(before: Setpoint, after: Setpoint) -> str:
    """Return what changes between two setpoints, the gravest first; 'no change' if nothing does.

    >>> nominal = Setpoint(4, 0.2, 1000, CircuitState.CLOSED, 0.1, 3)
    >>> action(nominal, nominal._replace(budget_ratio=0.0, circuit=CircuitState.OPEN))
    'circuit closed -> open (probes 10 %), retry budget 0.2 -> 0'
    """
    parts = []
    if before.circuit != after.circuit:
        probes = "" if after.circuit == CircuitState.CLOSED else f" (probes {percent(after.probe_ratio)})"
        parts.append(f"circuit {CIRCUIT_WORDS[before.circuit]} -> {CIRCUIT_WORDS[after.circuit]}{probes}")
    elif before.probe_ratio != after.probe_ratio:
        parts.append(f"probes {percent(before.probe_ratio)} -> {percent(after.probe_ratio)}")
    if before.budget_ratio != after.budget_ratio:
        parts.append(f"retry budget {before.budget_ratio:g} -> {after.budget_ratio:g}")
    if before.max_attempts != after.max_attempts:
        parts.append(f"attempts {before.max_attempts} -> {after.max_attempts}")
    if before.throttle_base_ms != after.throttle_base_ms:
        parts.append(f"pause after a throttle {before.throttle_base_ms} -> {after.throttle_base_ms} ms")
    if before.close_after != after.close_after:
        parts.append(f"close after {before.close_after} -> {after.close_after} good probes")
    return ", ".join(parts) or "no change"
