"""One call of a target: how long each attempt may take, what it teaches, whether another one follows.

The other half of `flyball.call`, which lets calls in; the same rules hold: no
clock, no randomness, no sleep, and nothing raised because of what a target did.
"""

from __future__ import annotations

from flyball.backoff import obliged_s, pause_ms
from flyball.outcome import GaveUp, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flyball.bulkhead import Place
    from flyball.call import Target

# The first attempt of a new environment also opens connections and starts up
# runtimes on both sides: it may take this many times the attempt time-out.
COLD_FACTOR = 3.0
# A retry that would have less than this left before the deadline is not begun.
MIN_ATTEMPT_S = 0.010


class Call:
    """One call of a target. Made by `Target.begin`; not to be shared by threads."""

    __slots__ = (
        "_deadline_s",
        "_first",
        "_idempotent",
        "_over",
        "_pause_ms",
        "_probe",
        "_target",
        "attempt",
        "gave_up",
    )

    _held = False  # whether anything is to be given back at the end
    _pause_ms: float  # before the attempt under way, less what the target asked for; unset in the first
    gave_up: GaveUp  # once a failed attempt has ended the call: which brake did; unset before

    def __init__(self, target: Target, deadline_s: float | None, idempotent: bool, probe: int) -> None:
        self._target = target
        self._deadline_s = deadline_s
        self._idempotent = idempotent
        self._probe = probe  # generation of the probe, -1 = none
        self._first: Outcome | None = None  # outcome of the first attempt
        self._over = False
        self.attempt = 1  # number of the attempt that is to be made or under way, from 1

    @property
    def repeatable(self) -> bool:
        """Whether a failed first attempt might be followed by another one."""
        return self._idempotent and self._probe < 0 and self._target.max_attempts > 1

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
            draw: Uniform in [0, 1); decides the jitter. Looked at after a failure,
                and after a success that took `target.slow_ms` or longer.
            latency_ms: Duration of the attempt, >= 0.
            retry_after_s: What the target asked for, if it did.

        Raises:
            RuntimeError: The call was over already: the shell's fault.
        """
        if self._over:
            raise RuntimeError(f"this call of {self._target.name!r} is over: begin another one")
        target = self._target
        if not (outcome or self._held or self._first is not None or latency_ms >= target.slow_ms):
            self._over = True
            target.note_success(now_s, latency_ms)
            return None
        target._warm = True
        target._counters.latencies_ms.append(latency_ms)
        if outcome:
            slow = outcome == Outcome.TIMEOUT and latency_ms >= target.slow_ms
            return self._finish_failed(outcome, slow, now_s, draw, retry_after_s)
        self._finish_well(latency_ms >= target.slow_ms, now_s, draw)
        return None

    def abandon(self) -> None:
        """End the call without a verdict: cancelled, interrupted, or not to be classified.

        Frees what it held; counts only attempts that ended before. Safe to call
        at any time, also on a call that is over.
        """
        if not self._over:
            self._end(None, self.attempt - 1, 0.0, 0.0)

    def _finish_well(self, slow: bool, now_s: float, draw: float) -> None:
        """A success that is not the usual one: of a call that holds something, of a retry, or slow."""
        if self._first is None:
            self._first = Outcome.SUCCESS
            self._target._budget.earned += 1
            if self._probe < 0:
                self._target._note(Outcome.SUCCESS, slow, now_s, draw)
        self._target._in_a_row = 0.0  # also after a retry: the target answers
        self._end(Outcome.SUCCESS, self.attempt, now_s, draw, slow=slow)

    def _finish_failed(
        self, outcome: Outcome, slow: bool, now_s: float, draw: float, retry_after_s: float | None
    ) -> float | None:
        if self._first is None:
            self._first = outcome
            self._target._budget.earned += 1
            if self._probe < 0 and outcome < Outcome.PERMANENT:
                self._target._note(outcome, slow, now_s, draw)
        wait_s = None
        self.gave_up = GaveUp.OWN_FAULT
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
        self.gave_up = GaveUp.NOT_REPEATABLE
        if not self._idempotent or self._probe >= 0:
            return None
        breaker = target._breaker
        if now_s >= breaker.recheck_s:
            target._refresh(now_s)
        self.gave_up = GaveUp.CIRCUIT
        if breaker.gated:
            return None
        self.gave_up = GaveUp.ATTEMPTS
        if self.attempt >= target._max_attempts:
            return None
        retry = target.params.retry
        wait_ms = pause_ms(
            self.attempt,
            base_ms=retry.throttle_base_ms if outcome == Outcome.THROTTLE else retry.base_ms,
            cap_ms=retry.cap_ms,
            draw=draw,
            jitter=retry.jitter,
            previous_ms=self._pause_ms if self.attempt > 1 else None,
        )
        self._pause_ms = wait_ms
        wait_s = obliged_s(wait_ms, retry_after_s)
        self.gave_up = GaveUp.RETRY_AFTER
        if wait_s is None:
            return None
        self.gave_up = GaveUp.DEADLINE
        if self._deadline_s is not None and now_s + wait_s + MIN_ATTEMPT_S > self._deadline_s:
            return None
        self.gave_up = GaveUp.BUDGET
        # What was refused at once, or got lost without a queue, held no server.
        cheap = outcome == Outcome.ERROR_FAST or (outcome == Outcome.TIMEOUT and target._calm_timeouts)
        cost = retry.fast_cost if cheap else 1.0
        target._book()  # what went well has earned
        return wait_s if target._budget.try_spend(cost) else None

    def _end(
        self, outcome: Outcome | None, attempts: int, now_s: float, draw: float, *, slow: bool = False
    ) -> None:
        """Count the call and give a probe's slot back. `outcome` of the last attempt; None = no verdict.

        A slow probe is no good one: what would have opened the circuit must not close it.
        """
        self._over = True
        target = self._target
        if attempts > 0:
            target._counters.count(self._first, outcome, attempts)
        if self._probe >= 0:
            target._book()  # before the window is cleared, if this closes
            good = None
            if outcome is not None and outcome < Outcome.PERMANENT:
                good = outcome == Outcome.SUCCESS and not slow
            target._breaker.release(self._probe, good, now_s=now_s, draw=draw)
            target._disturb()


class HeldCall(Call):
    """A call that holds a probe's slot, a place in the bulkhead, or both, and cannot take them with it.

    Whoever forgets it, gives them back: an iterator that nobody finishes, a
    coroutine that nobody awaits.
    """

    __slots__ = ("_place",)

    _held = True

    def __init__(
        self, target: Target, deadline_s: float | None, idempotent: bool, probe: int, place: Place | None
    ) -> None:
        super().__init__(target, deadline_s, idempotent, probe)
        self._place = place

    def _end(
        self, outcome: Outcome | None, attempts: int, now_s: float, draw: float, *, slow: bool = False
    ) -> None:
        if self._place is not None:
            self._place.leave()
        super()._end(outcome, attempts, now_s, draw, slow=slow)

    def __del__(self) -> None:
        self.abandon()
