"""The fast loop without input and output: what one call may do, decided from numbers alone.

A shell asks a `Target` to `begin` a call, makes the attempt, reports its outcome
with `finish`, and waits as long as that says. The sync guard, the async guard
and the closed-loop simulator are such shells, so all of them run this very code
and no other. Nothing here sleeps, reads a clock, draws a random number, or
raises because of what a target did.

    call = target.begin(now_s, draw, deadline_s=..., idempotent=True)
    if isinstance(call, Rejected): give up, or use the fallback
    loop: attempt within call.timeout_s(now_s)
          wait_s = call.finish(outcome, now_s=..., draw=..., latency_ms=...)
          if wait_s is None: over; else sleep wait_s and attempt again
    on anything that is no outcome (cancelled, interrupted): call.abandon()

Order of the brakes, cheapest first: deadline, circuit, throttle, then per retry
idempotence (K9), attempts, circuit again, deadline, budget. Derivation of the
defaults: docs/theory/control.md; terms: docs/glossary.md.
"""

from __future__ import annotations

from flyball.backoff import delay_s
from flyball.breaker import Breaker
from flyball.budget import Budget
from flyball.outcome import Counters, Outcome, Rejected, RejectReason
from flyball.records import (
    DEFAULT_PARAMS,
    FLEET,
    Circuit,
    CircuitState,
    TargetParams,
    clip_circuit,
    clip_params,
)
from flyball.throttle import MIN_TIMEOUTS, shed_ratio
from flyball.window import Window

__all__ = ["Call", "Counters", "Outcome", "RejectReason", "Rejected", "Target"]

# The first attempt of a new environment also opens connections and starts up
# runtimes on both sides: it may take this many times the attempt time-out.
COLD_FACTOR = 3.0
# A retry that would have less than this left before the deadline is not begun.
MIN_ATTEMPT_S = 0.010
# When a call was shed, the ratio that shed it moves by the next slice of the window.
SHED_RETRY_AFTER_S = 3.0


class Target:
    """One dependency as one execution environment sees it: live parameters and everything remembered.

    Not safe for use by several threads at once without the interpreter lock; a
    lost increment then costs accuracy, never a slot. Times are epoch seconds.
    """

    __slots__ = (
        "_breaker",
        "_budget",
        "_max_attempts",
        "_throttle_window",
        "_warm",
        "_window",
        "counters",
        "function",
        "name",
        "params",
        "revision",
    )

    def __init__(self, name: str, *, function: str = "", params: TargetParams = DEFAULT_PARAMS) -> None:
        """Begin closed, with one retry of credit. Circuits of `function` count beside the fleet's."""
        params = clip_params(params)
        self.name = name
        self.function = function
        self.params = params
        self.revision = -1  # of the document behind `params`; -1 = compiled in
        self.counters = Counters()
        self._window = Window(params.breaker.window_s)
        # One window serves breaker and throttle if they are equally long, as by default.
        self._throttle_window = self._window_for_throttle(params)
        self._breaker = Breaker(params.breaker, self._window)
        self._budget = Budget(ratio=params.retry.budget_ratio, burst=params.retry.budget_burst)
        self._max_attempts = params.retry.max_attempts
        self._warm = False

    # --- what the slow loop says ------------------------------------------------------

    def apply_params(self, params: TargetParams, revision: int) -> bool:
        """Obey the parameters of a document, clipped to the bounds (K10); False if it is not newer (A3, K2).

        Nothing remembered is lost: savings of the budget are kept up to the new
        burst, windows are kept unless their length changes.
        """
        if revision <= self.revision:
            return False
        self.revision = revision
        params = clip_params(params)
        before, self.params = self.params, params
        if params.breaker.window_s != before.breaker.window_s:
            self._window = Window(params.breaker.window_s)
        if params.throttle.window_s != before.throttle.window_s or self._throttle_window is not self._window:
            self._throttle_window = self._window_for_throttle(params)
        self._breaker.configure(params.breaker, self._window)
        self._apply_retry()
        return True

    def apply_circuit(self, circuit: Circuit | None) -> bool:
        """Obey a published circuit; False if it is not for this target and function, or not newer (K2, K4).

        None (no item was found) changes nothing: a replica may lag behind, and
        what is known ends by itself at its `valid_until`.
        """
        if circuit is None or circuit.target != self.name or circuit.function not in (FLEET, self.function):
            return False
        return self._breaker.publish(clip_circuit(circuit))

    def hold(self, state: CircuitState | None) -> CircuitState | None:
        """Force a state in this environment, over everything published; None lets go. Returns the last hold.

        For tests and for an embedding that has its own kill switch. Only the
        two forced states mean anything more than what the breaker would do.
        """
        return self._breaker.hold(state)

    def _refresh(self, now_s: float) -> None:
        self._breaker.refresh(now_s)
        self._apply_retry()

    def _apply_retry(self) -> None:
        retry, breaker, budget = self.params.retry, self._breaker, self._budget
        self._max_attempts = retry.max_attempts if breaker.max_attempts is None else breaker.max_attempts
        ratio = retry.budget_ratio if breaker.override_ratio is None else breaker.override_ratio
        if ratio != budget.ratio or retry.budget_burst != budget.burst:
            budget.configure(ratio=ratio, burst=retry.budget_burst)

    def _window_for_throttle(self, params: TargetParams) -> Window:
        same = params.throttle.window_s == params.breaker.window_s
        return self._window if same else Window(params.throttle.window_s)

    # --- what can be seen -------------------------------------------------------------

    def state(self, now_s: float) -> CircuitState:
        """Return the circuit state that a call would meet at `now_s`."""
        if now_s >= self._breaker.recheck_s:
            self._refresh(now_s)
        return self._breaker.state

    @property
    def max_attempts(self) -> int:
        """Attempts per call in force, the first included; an override of the circuit counts."""
        return self._max_attempts

    @property
    def budget_ratio(self) -> float:
        """Retries per first attempt in force; an override of the circuit counts."""
        return self._budget.ratio

    @property
    def budget_tokens(self) -> float:
        """Retries that could be spent now, in [0, budget_burst]."""
        return self._budget.tokens

    def shed_ratio(self, now_s: float) -> float:
        """Return the probability, in [0, cap_ratio], that the throttle refuses a call at `now_s`."""
        window, params = self._throttle_window, self.params.throttle
        if now_s >= window.until_s:
            window.advance(now_s)
        return shed_ratio(
            calls=window.calls,
            timeouts=window.timeouts,
            shed=window.shed,
            k=params.k,
            cap_ratio=params.cap_ratio,
        )

    # --- calls ------------------------------------------------------------------------

    def begin(
        self, now_s: float, draw: float, *, deadline_s: float | None = None, idempotent: bool = False
    ) -> Call | Rejected:
        """Return the Call to make, or why none is to be made.

        Args:
            now_s: Epoch seconds.
            draw: Uniform in [0, 1); decides probing and shedding. Not looked at
                while the target is healthy (see `needs_draw`).
            deadline_s: The moment, on the clock of `now_s`, after which no
                answer is of use; None if there is none.
            idempotent: Whether the call may be repeated at all.
        """
        breaker = self._breaker
        if now_s >= breaker.recheck_s:
            self._refresh(now_s)
        if deadline_s is not None and now_s >= deadline_s:
            return self._reject(RejectReason.DEADLINE, 0.0)
        probe = -1
        if breaker.gated:
            if not breaker.admit(now_s, draw):
                return self._reject(RejectReason.CIRCUIT_OPEN, breaker.retry_after_s(now_s))
            probe = breaker.generation
        elif (
            self._throttle_window.timeouts >= MIN_TIMEOUTS
            and not breaker.bypassed
            and draw < self.shed_ratio(now_s)
        ):
            self._throttle_window.note_shed()
            return self._reject(RejectReason.SHED, SHED_RETRY_AFTER_S)
        self._budget.earned += 1
        return Call(self, deadline_s, idempotent, probe)

    @property
    def needs_draw(self) -> bool:
        """Whether the next `begin` may look at its draw; if not, any number will do."""
        breaker = self._breaker
        return (
            breaker.gated
            or breaker.recheck_s < float("inf")
            or self._throttle_window.timeouts >= MIN_TIMEOUTS
        )

    def _note_failed(self, outcome: Outcome, now_s: float, draw: float) -> None:
        """Put a failed first attempt into the windows, and ask the breaker what it means."""
        window = self._window
        if now_s >= window.until_s:
            window.advance(now_s)
        window.calls_now += 1
        if outcome == Outcome.TIMEOUT:
            window.note_timeout()
        elif outcome == Outcome.ERROR_FAST:
            window.note_failure()
        if self._throttle_window is not window:
            self._note_for_throttle(outcome, now_s)
        if outcome != Outcome.THROTTLE:
            self._breaker.consider(now_s, draw)

    def _note_for_throttle(self, outcome: Outcome, now_s: float) -> None:
        window = self._throttle_window
        if now_s >= window.until_s:
            window.advance(now_s)
        window.calls_now += 1
        if outcome == Outcome.TIMEOUT:
            window.note_timeout()

    def _count(self, first: Outcome | None, last: Outcome | None, attempts: int) -> None:
        """Count a call that is over, with the outcome of its first and last attempt."""
        counters = self.counters
        counters.requests += 1
        counters.retries += attempts - 1
        if first == Outcome.TIMEOUT:
            counters.timeouts += 1
        elif first == Outcome.THROTTLE:
            counters.throttles += 1
        elif first == Outcome.ERROR_FAST:
            counters.errors_fast += 1
        if last == Outcome.PERMANENT:
            counters.errors_permanent += 1
        elif last is not None and Outcome.SUCCESS < last < Outcome.PERMANENT:
            counters.request_failures += 1

    def _reject(self, reason: RejectReason, retry_after_s: float) -> Rejected:
        self.counters.short_circuited += 1
        return Rejected(reason, retry_after_s)


class Call:
    """One call of a target, over all its attempts. Made by `Target.begin`."""

    __slots__ = ("_deadline_s", "_first", "_idempotent", "_over", "_probe", "_target", "attempt")

    def __init__(self, target: Target, deadline_s: float | None, idempotent: bool, probe: int) -> None:
        self._target = target
        self._deadline_s = deadline_s
        self._idempotent = idempotent
        self._probe = probe  # generation of the probe, -1 = none
        self._first: Outcome | None = None  # outcome of the first attempt
        self._over = False
        self.attempt = 1  # number of the attempt that is to be made or under way, from 1

    def timeout_s(self, now_s: float) -> float:
        """Return how long the attempt may take, >= 0: never past the deadline, longer while all is cold."""
        limit_s = self._target.params.retry.attempt_timeout_ms / 1_000.0
        if self.attempt == 1 and not self._target._warm:
            limit_s *= COLD_FACTOR
        if self._deadline_s is not None:
            limit_s = min(limit_s, self._deadline_s - now_s)
        return max(0.0, limit_s)

    def finish(
        self,
        outcome: Outcome,
        *,
        now_s: float,
        draw: float,
        latency_ms: float,
        retry_after_s: float | None = None,
    ) -> float | None:
        """Record how the attempt ended; return the seconds to wait before the next, None if the call is over.

        Args:
            outcome: How it ended.
            now_s: Epoch seconds.
            draw: Uniform in [0, 1); decides the jitter. Not looked at on success.
            latency_ms: Duration of the attempt, >= 0.
            retry_after_s: What the target asked for, if it did.

        Raises:
            RuntimeError: The call was over already: the shell's fault.
        """
        if self._over:
            raise RuntimeError(f"this call of {self._target.name!r} is over: begin another one")
        target = self._target
        target._warm = True
        counters = target.counters
        counters.latencies_ms.append(latency_ms)
        if outcome:
            return self._finish_failed(outcome, now_s, draw, retry_after_s)
        if self._probe >= 0 or self._first is not None:
            if self._first is None:
                self._first = outcome
            self._end(outcome, self.attempt, now_s, draw)
            return None
        window = target._window
        if now_s >= window.until_s:
            window.advance(now_s)
        window.calls_now += 1
        if target._throttle_window is not window:
            target._note_for_throttle(outcome, now_s)
        counters.requests += 1
        self._over = True
        return None

    def abandon(self) -> None:
        """End the call without a verdict: cancelled, interrupted, or not to be classified.

        Frees what it held; counts only attempts that ended before. Safe to call
        at any time, also on a call that is over.
        """
        if not self._over:
            self._end(None, self.attempt - 1, 0.0, 0.0)

    def _finish_failed(
        self, outcome: Outcome, now_s: float, draw: float, retry_after_s: float | None
    ) -> float | None:
        if self._first is None:
            self._first = outcome
            if self._probe < 0 and outcome < Outcome.PERMANENT:
                self._target._note_failed(outcome, now_s, draw)
        wait_s = None
        if outcome < Outcome.PERMANENT:
            wait_s = self._wait_s(outcome, now_s, draw, retry_after_s)
        if wait_s is None:
            self._end(outcome, self.attempt, now_s, draw)
        else:
            self.attempt += 1
        return wait_s

    def _wait_s(
        self, outcome: Outcome, now_s: float, draw: float, retry_after_s: float | None
    ) -> float | None:
        """Seconds until the next attempt, or None if there is to be none. Spends the budget last."""
        target = self._target
        if not self._idempotent or self._probe >= 0:
            return None
        breaker = target._breaker
        if now_s >= breaker.recheck_s:
            target._refresh(now_s)
        if breaker.gated or self.attempt >= target._max_attempts:
            return None
        retry = target.params.retry
        wait_s = delay_s(
            self.attempt,
            base_ms=retry.throttle_base_ms if outcome == Outcome.THROTTLE else retry.base_ms,
            cap_ms=retry.cap_ms,
            draw=draw,
            retry_after_s=retry_after_s,
        )
        if wait_s is None:
            return None
        if self._deadline_s is not None and now_s + wait_s + MIN_ATTEMPT_S > self._deadline_s:
            return None
        return wait_s if target._budget.try_spend() else None

    def _end(self, outcome: Outcome | None, attempts: int, now_s: float, draw: float) -> None:
        """Count the call and give a probe's slot back. `outcome` of the last attempt; None = no verdict."""
        self._over = True
        target = self._target
        if attempts > 0:
            target._count(self._first, outcome, attempts)
        if self._probe >= 0:
            good = None if outcome is None or outcome >= Outcome.PERMANENT else outcome == Outcome.SUCCESS
            target._breaker.release(self._probe, good, now_s=now_s, draw=draw)
