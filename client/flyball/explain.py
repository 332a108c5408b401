"""What a target's numbers amount to, in words, and where they contradict each other.

    print(explain(quote, calls_per_s=2, function_timeout_s=10).text)
    python -m flyball.explain payments-api --calls-per-s 2 --function-timeout-s 10

Everything said is read from the live target, so it holds after the next document
or circuit as well; a test may assert that `warnings` is empty, or that
`worst_case_s` fits. Nothing is decided here: the sentences describe
`flyball.call`, and tests hold them against what it does.

Traffic is that of one execution environment, because that is what its windows
see: a fleet's rate divided by its environments.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, NamedTuple

from flyball.backoff import RETRY_AFTER_MAX_S, pause_ms
from flyball.breaker import OPEN_JITTER
from flyball.call import COLD_FACTOR, Target
from flyball.contradictions import Contradiction, of_declaration, of_params, of_time, of_traffic
from flyball.document import REVISION_MAX
from flyball.environment import Runtime
from flyball.errors import SettingsError
from flyball.guard import GuardedTarget, runtime
from flyball.guard import target as declared
from flyball.misuse import number
from flyball.records import FLEET, FORCED, BreakerParams, Circuit, CircuitState, RetryParams, is_kill_switch
from flyball.stacked import captured_by
from flyball.throttle import MIN_TIMEOUTS
from flyball.wrap import Plan

_MAX, _MIN_S = 1e9, 1e-9  # beyond these a number is a mistake


class Explanation(NamedTuple):
    """What holds for a target now.

    `opens_after` fast failures at the end of `min_calls` calls open it here; `worst_case_s`
    is the longest that one call can take if every attempt times out, in a new
    environment, without a deadline; `retries_per_1000` what the budget allows.
    """

    text: str
    warnings: tuple[Contradiction, ...]
    state: CircuitState
    opens_after: int
    max_attempts: int
    retries_per_1000: float
    worst_case_s: float


class _Subject(NamedTuple):
    """Who is explained; None in a declaration = nothing is known of it."""

    shared: Runtime | None
    target: Target
    idempotent: bool | None
    told: bool | None  # whether the function receives the attempt's time-out


def explain(
    subject: str | Target | GuardedTarget | Callable[..., Any],
    *,
    calls_per_s: float | None = None,
    function_timeout_s: float | None = None,
    within: Runtime | None = None,
    now_s: float | None = None,
) -> Explanation:
    """Return what the live parameters and circuit of a target mean.

    Args:
        subject: A guarded function (most can be said then), the handle, the
            bare Target, or the name.
        calls_per_s: Calls of one execution environment, >= 0; None = unknown.
        function_timeout_s: Time-out of the function, > 0; None = unknown.
        within: The Runtime, if `subject` is a name; default the process's.
        now_s: Epoch seconds; None = by the Runtime's clock (a bare Target has none: 0).

    Raises:
        SettingsError: The subject is not guarded, no target has this name, or a number is out of its range.

    >>> explain(Target("payments-api")).worst_case_s
    6.7
    """
    if calls_per_s is not None:
        number("calls_per_s", calls_per_s, 0.0, _MAX, "calls of one environment, >= 0, or None")
    if function_timeout_s is not None:
        number("function_timeout_s", function_timeout_s, _MIN_S, _MAX, "seconds, > 0, or None")
    who = _subject(subject, within)
    target, shared = who.target, who.shared
    if now_s is None:
        now_s = 0.0 if shared is None else shared.clock.wall_s()
    if shared is not None:
        shared.poll(now_s, shared.clock.monotonic_s())
    state = target.state(now_s)
    circuit = _circuit(target, now_s)
    retry = target.params.retry
    attempts = _attempts_of(who)
    worst_s = _worst_s(retry, attempts)
    warnings = [*of_declaration(target, idempotent=who.idempotent, told=who.told), *of_params(target)]
    if function_timeout_s is not None:
        warnings += of_time(target, attempts=attempts, worst_s=worst_s, function_timeout_s=function_timeout_s)
    if calls_per_s is not None:
        warnings += of_traffic(target, circuit, calls_per_s=calls_per_s)
    sentences = _sentences(who, state, circuit, now_s, worst_s)
    lines = [target.name, *(f"  {title:<9} {sentence}" for title, sentence in sentences.items())]
    lines += [f"  ! {warning.text}" for warning in warnings]
    return Explanation(
        text="\n".join(lines),
        warnings=tuple(warnings),
        state=state,
        opens_after=_opens_after(target),
        max_attempts=attempts,
        retries_per_1000=_retries_per_1000(target, attempts),
        worst_case_s=worst_s,
    )


def _subject(subject: object, within: Runtime | None) -> _Subject:
    if isinstance(subject, str):
        shared = runtime() if within is None else within
        target = shared.targets.get(subject)
        if target is None:
            known = ", ".join(sorted(shared.targets)) or "none"
            raise SettingsError(f"no target {subject!r} was declared; known: {known}", field="subject")
        return _Subject(shared, target, None, None)
    if isinstance(subject, Target):
        return _Subject(within, subject, None, None)
    if isinstance(subject, GuardedTarget):
        return _Subject(subject._runtime, subject.target, subject.idempotent, None)
    for plan in captured_by(subject):
        if isinstance(plan, Plan):
            idempotent = None if plan.key is not None else plan.idempotent  # with a key, each call says it
            return _Subject(plan.runtime, plan.target, idempotent, bool(plan.timeout))
    raise SettingsError(f"{subject!r} is neither a target nor a guarded function", field="subject")


# --- sentences ------------------------------------------------------------------------


def _sentences(
    who: _Subject, state: CircuitState, circuit: Circuit | None, now_s: float, worst_s: float
) -> dict[str, str]:
    target = who.target
    sentences = {
        "circuit": _circuit_now(target, state, circuit, now_s),
        "opens": _opens(target),
        "closes": _closes(target),
        "sheds": _sheds(target),
        "attempts": _attempts(who, circuit),
        "budget": _budget(target, circuit),
        "time": _time(who, worst_s),
    }
    limit = target.params.bulkhead.max_concurrent
    if limit:
        sentences["bulkhead"] = f"at most {limit} calls at once {_source(target)}"
    return sentences


def _source(target: Target) -> str:
    if target.revision < 0:
        return "[compiled in]"
    return (
        "[set in this process]"
        if target.revision > REVISION_MAX
        else f"[document revision {target.revision}]"
    )


def _from(circuit: Circuit | None, value: object, target: Target) -> str:
    """Where a number comes from that a circuit may override."""
    if circuit is None or value is None:
        return _source(target)
    return f"[circuit version {circuit.version}]"


def _circuit(target: Target, now_s: float) -> Circuit | None:
    """The published circuit that counts at `now_s`, if one does."""
    breaker = target._breaker
    switch = breaker._switch if breaker.killed else None
    items = [item for item in (switch, breaker._function, breaker._fleet) if item is not None]
    valid = [item for item in items if now_s < item.valid_until]
    forced = [item for item in valid if item.state in FORCED]
    return next(iter(forced or valid), None)


def _circuit_now(target: Target, state: CircuitState, circuit: Circuit | None, now_s: float) -> str:
    breaker = target._breaker
    word = _word(state)
    if breaker._held is not None:
        return f"{word}, held by this process until it lets go"
    obeyed = breaker._obeyed is not None and breaker._local != CircuitState.OPEN
    if circuit is not None and (obeyed or circuit.state in FORCED):
        return f"{word} for {_scope(circuit)}, {_until(circuit, now_s)}"
    if breaker.blind_since_s is not None:
        return "open here, until anything is known of the target"
    if state == CircuitState.OPEN:
        return (
            f"open here, by this environment; it may be asked again in {breaker.retry_after_s(now_s):.3g} s"
        )
    if state == CircuitState.HALF_OPEN:
        return "half-open here, on this environment's own evidence"
    if circuit is None:
        return f"{word}, nothing is published"
    if circuit.state == state:
        return f"{word}, as published, {_until(circuit, now_s)}"
    return f"{word} here, by good probes; published is {_word(circuit.state)}, {_until(circuit, now_s)}"


def _word(state: CircuitState) -> str:
    return state.name.lower().replace("_", "-")


def _scope(circuit: Circuit) -> str:
    if is_kill_switch(circuit):
        return "everything (kill switch)"
    return "every function" if circuit.function == FLEET else circuit.function


def _until(circuit: Circuit, now_s: float) -> str:
    reason = f" ({circuit.reason})" if circuit.reason else ""
    return (
        f"for {circuit.valid_until - now_s:.3g} s unless renewed{reason} [circuit version {circuit.version}]"
    )


def _opens_after(target: Target) -> int:
    breaker = target.params.breaker
    return min(_of_window(breaker), breaker.consecutive_failures or breaker.min_calls)


def _of_window(breaker: BreakerParams) -> int:
    return max(1, ceil(breaker.failure_ratio * breaker.min_calls))


def _opens(target: Target) -> str:
    p = target.params.breaker
    slow = (
        f", or when {p.slow_call_ratio:g} of them took {p.slow_call_ms} ms or more" if p.slow_call_ms else ""
    )
    row = f"{p.consecutive_failures} failures in a row (time-outs count half), "
    return (
        f"here after {row if p.consecutive_failures else ''}{_of_window(p)} fast failures of {p.min_calls} "
        f"calls in {p.window_s:g} s (a share of {p.failure_ratio:g}), or when none of {p.min_calls} came "
        f"back{slow} {_source(target)}"
    )


def _closes(target: Target) -> str:
    p = target.params.breaker
    return (
        f"after {p.open_s:g} to {p.open_s * (1.0 + OPEN_JITTER):g} s a share of {p.probe_ratio:g} of the "
        f"calls probes, at least one per {p.open_s:g} s; {p.close_after} good ones in a row close it"
        f"{', one if failures in a row had opened it' if p.consecutive_failures else ''} {_source(target)}"
    )


def _sheds(target: Target) -> str:
    p = target.params.throttle
    if not p.cap_ratio:
        return f"nothing {_source(target)}"
    return (
        f"from {MIN_TIMEOUTS} time-outs in {p.window_s:g} s on, what exceeds {p.k:g} times the calls that "
        f"came back; at most a share of {p.cap_ratio:g} {_source(target)}"
    )


def _attempts_of(who: _Subject) -> int:
    return 1 if who.idempotent is False else who.target.max_attempts


def _attempts(who: _Subject, circuit: Circuit | None) -> str:
    source = _from(circuit, circuit and circuit.max_attempts, who.target)
    allowed = who.target.max_attempts
    if who.idempotent is False:
        return "1, because it is not declared idempotent"
    if who.idempotent is None:
        return f"at most {allowed} {source} if it may be repeated, else 1"
    return f"at most {allowed} {source}"


def _retries_per_1000(target: Target, attempts: int) -> float:
    return min(target.budget_ratio, attempts - 1.0) * 1_000.0


def _budget(target: Target, circuit: Circuit | None) -> str:
    retries = _retries_per_1000(target, target.max_attempts)
    return (
        f"of 1,000 requests at most {retries:g} are repeated, and {target.params.retry.budget_burst:g} more "
        f"saved up {_from(circuit, circuit and circuit.budget_ratio, target)}"
    )


def _time(who: _Subject, worst_s: float) -> str:
    retry, attempts = who.target.params.retry, _attempts_of(who)
    cold = f"{COLD_FACTOR:g} times that for the first of a new environment"
    text = f"{retry.attempt_timeout_ms / 1_000.0:g} s per attempt, {cold}; a call at most {worst_s:.4g} s"
    if attempts > 1:
        throttled_s = worst_s + _waits_s(retry, attempts, retry.throttle_base_ms)
        throttled_s -= _waits_s(retry, attempts, retry.base_ms)
        text += (
            f" if all time out, {throttled_s:.4g} s if throttled instead; a pause that the target asks for, "
            f"up to {RETRY_AFTER_MAX_S:g} s, comes on top"
        )
    return f"{text} {_source(who.target)}"


def _waits_s(retry: RetryParams, attempts: int, base_ms: float) -> float:
    """The longest waits between so many attempts, together."""
    total_ms, wait_ms = 0.0, None
    for retried in range(1, attempts):
        wait_ms = pause_ms(
            retried, base_ms=base_ms, cap_ms=retry.cap_ms, draw=1.0, jitter=retry.jitter, previous_ms=wait_ms
        )
        total_ms += wait_ms
    return total_ms / 1_000.0


def _worst_s(retry: RetryParams, attempts: int) -> float:
    limits_ms = retry.attempt_timeout_ms * (attempts - 1.0 + COLD_FACTOR)
    return limits_ms / 1_000.0 + _waits_s(retry, attempts, retry.base_ms)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the explanation of a target as the environment variables configure it; 1 if it has warnings.

    Exits with 2 if a name, a number or an environment variable cannot be used.
    """
    from argparse import ArgumentParser

    parser = ArgumentParser(
        prog="python -m flyball.explain", description="What a target's numbers amount to."
    )
    parser.add_argument("target")
    parser.add_argument("--calls-per-s", type=float, help="of one execution environment")
    parser.add_argument("--function-timeout-s", type=float)
    given = parser.parse_args(arguments)
    try:
        explanation = explain(
            declared(given.target).target,
            calls_per_s=given.calls_per_s,
            function_timeout_s=given.function_timeout_s,
            within=runtime(),
        )
    except SettingsError as error:
        parser.error(str(error))
    sys.stdout.write(explanation.text + "\n")
    return 1 if explanation.warnings else 0


if __name__ == "__main__":
    sys.exit(main())
