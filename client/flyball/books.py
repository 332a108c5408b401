"""What a target counts, and when: one number per healthy call, the rest when somebody looks.

A call that went well at once is an addition to `_well` and a latency kept. What
follows from it (a request for the metrics, a call in the windows, credit for the
budget, the end of a run of failures) is booked later: before a failure is put
beside it, before a slice of a window ends, before a retry is paid, and before
anybody reads. So a healthy call pays for one count, and whoever looks sees them
all. Threads may lose an addition to each other, never gain one.

Knows nothing of calls and circuits; `flyball.call` builds the target on it.
"""

from __future__ import annotations

from _thread import RLock

from flyball.breaker import SLACK_S, Breaker
from flyball.budget import Budget
from flyball.outcome import Counters, Outcome
from flyball.records import TargetParams
from flyball.throttle import ANSWERS_KEPT, LATE_KEPT, MIN_TIMEOUTS, is_calm, shed_ratio
from flyball.window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = float("-inf")
# A time-out in a row of failures counts half: where time-outs are partial, the throttle sheds them in
# proportion, and a saturated target must not be cut off twice (docs/decisions/0010).
TIMEOUT_WEIGHT = 0.5


class Books:
    """Counters, windows and budget of one target, and the number of failures in a row."""

    __slots__ = (
        "_before_ms",
        "_book_at_s",
        "_booked",
        "_breaker",
        "_budget",
        "_counters",
        "_failed_s",
        "_in_a_row",
        "_keep_latency",
        "_late",
        "_lock",
        "_throttle_window",
        "_warm",
        "_well",
        "_window",
        "params",
    )

    _breaker: Breaker
    _keep_latency: Callable[[float], None]  # unset until the first booking

    def __init__(self, params: TargetParams) -> None:
        self.params = params
        self._lock = RLock()
        self._counters = Counters()
        self._window = Window(params.breaker.window_s, self._lock)
        # One window serves breaker and throttle if they are equally long, as by default.
        self._throttle_window = self._window_for_throttle(params)
        retry = params.retry
        self._budget = Budget(ratio=retry.budget_ratio, burst=retry.budget_burst, lock=self._lock)
        self._warm = False  # whether any attempt has ended: connections are open then
        self._well = 0  # calls that ended well at once, ever
        self._booked = 0  # those of them that are in the books
        self._book_at_s = AT_ONCE  # end of the first slice to end
        self._in_a_row = 0.0  # failed first attempts since something went well, by weight
        self._failed_s = AT_ONCE  # the last of them
        self._late: tuple[int, ...] = ()  # what `_well` was at the last time-outs
        self._before_ms: tuple[float, ...] = ()  # newest latencies of counters that were taken away

    def _window_for_throttle(self, params: TargetParams) -> Window:
        same = params.throttle.window_s == params.breaker.window_s
        return self._window if same else Window(params.throttle.window_s, self._lock)

    # --- what went well ---------------------------------------------------------------

    def note_success(self, now_s: float, latency_ms: float) -> None:
        """Count a call that is over: its first attempt was good, faster than `slow_ms`, and held nothing."""
        if now_s >= self._book_at_s:
            self._turn_to(now_s)
        self._keep_latency(latency_ms)
        self._well += 1

    def _turn_to(self, now_s: float) -> None:
        """Book, and move the windows to the slice of `now_s`. An attempt has ended."""
        with self._lock:
            self._book()
            window, other = self._window, self._throttle_window
            window.advance(now_s)
            until_s = window.until_s
            if other is not window:
                other.advance(now_s)
                until_s = min(until_s, other.until_s)
            self._keep_latency = self._counters.latencies_ms.append
            self._warm = True
            self._book_at_s = until_s  # last: from here on other threads count without asking

    def _book(self) -> None:
        """Put into the books what is not there yet."""
        with self._lock:
            well = self._well
            new, self._booked = well - self._booked, well
            if new <= 0:  # under it, an addition was lost to another thread after it had been booked
                return
            self._counters.requests += new
            self._budget.earned += new
            self._window.calls_now += new
            if self._throttle_window is not self._window:
                self._throttle_window.calls_now += new
            self._in_a_row = 0.0

    # --- what did not -----------------------------------------------------------------

    def _note(self, outcome: Outcome, slow: bool, now_s: float, draw: float) -> bool:
        """Put a first attempt into the windows; True if the breaker must be asked what it means."""
        with self._lock:
            self._turn_to(now_s)
            window, hard = self._window, outcome == Outcome.TIMEOUT or outcome == Outcome.ERROR_FAST
            for each in (window,) if self._throttle_window is window else (window, self._throttle_window):
                each.calls_now += 1
                if outcome == Outcome.TIMEOUT:
                    each.note_timeout()
            if outcome == Outcome.TIMEOUT:
                self._late = (*self._late[1 - LATE_KEPT :], self._well)
            elif outcome == Outcome.ERROR_FAST:
                window.note_failure()
            if slow:
                window.note_slow()
            if hard:
                self._note_in_a_row(TIMEOUT_WEIGHT if outcome == Outcome.TIMEOUT else 1.0, now_s)
            elif outcome == Outcome.SUCCESS:
                self._in_a_row = 0.0
            if not (hard or slow):
                return False
            # So many in a row, and nothing went well in between: however few calls there are.
            row = 0 < self.params.breaker.consecutive_failures <= self._in_a_row
            if row or self._is_gone():
                self._breaker.trip(now_s, draw, nothing_came=row)
                self._in_a_row = 0.0
            return True

    def _note_in_a_row(self, weight: float, now_s: float) -> None:
        """Count another failure in a row: not more than a window after the one before, else the first."""
        if not -SLACK_S <= now_s - self._failed_s <= self.params.breaker.window_s:
            self._in_a_row = 0.0
        self._failed_s = now_s
        self._in_a_row += weight

    def _is_gone(self) -> bool:
        """Whether this environment has seen enough to open by itself, after a failed or slow first attempt.

        A window of `min_calls` at least, in which fast errors reach `failure_ratio`, or
        nothing came back at all: while something does, the throttle sheds time-outs in
        proportion. Slow calls (time-outs of that length among them) count only if slow is defined.
        """
        window, params = self._window, self.params.breaker
        calls = window.calls
        if calls < params.min_calls:
            return False
        nothing_came_back = window.failures + window.timeouts >= calls
        failing = window.failures >= params.failure_ratio * calls
        slow = params.slow_call_ms > 0 and window.slow >= params.slow_call_ratio * calls
        return nothing_came_back or failing or slow

    def _newest_ms(self) -> tuple[float, ...]:
        """Durations of the newest attempts, oldest first."""
        latencies = self._counters.latencies_ms
        count = len(latencies)
        newest = [latencies[number] for number in range(max(0, count - ANSWERS_KEPT), count)]
        return (*self._before_ms, *newest)[-ANSWERS_KEPT:]

    @property
    def _calm_timeouts(self) -> bool:
        """Whether the last time-outs, if any, came without a queue."""
        return is_calm(
            timeouts=len(self._late),
            good=self._well - self._late[0] if self._late else 0,
            answers_ms=self._newest_ms(),
            timeout_ms=self.params.retry.attempt_timeout_ms,
        )

    def _sheds(self, now_s: float, draw: float) -> bool:
        """Whether the throttle refuses a call."""
        if self._throttle_window.timeouts < MIN_TIMEOUTS:
            return False
        sheds = not self._breaker.bypassed and draw < self.shed_ratio(now_s)
        if sheds:
            self._throttle_window.note_shed()
        return sheds

    # --- what can be seen -------------------------------------------------------------

    @property
    def counters(self) -> Counters:
        """What was counted since they were last replaced; whoever replaces them, reports the old ones."""
        self._book()
        return self._counters

    @counters.setter
    def counters(self, new: Counters) -> None:
        with self._lock:
            self._book()
            # Latencies matter after time-outs only: a healthy environment keeps none.
            self._before_ms = self._newest_ms() if self._throttle_window.timeouts else ()
            self._counters = new
            self._book_at_s = AT_ONCE  # latencies go elsewhere from now on

    def take_counters(self) -> Counters:
        """Return what was counted since the last time, and begin anew; of several at once one gets it."""
        with self._lock:
            taken, self.counters = self.counters, Counters()
            return taken

    @property
    def budget_ratio(self) -> float:
        """Retries per first attempt in force; an override of the circuit counts."""
        return self._budget.ratio

    @property
    def budget_tokens(self) -> float:
        """Retries that could be spent now, in [0, budget_burst]."""
        self._book()
        return self._budget.tokens

    def shed_ratio(self, now_s: float) -> float:
        """Return the probability, in [0, cap_ratio], that the throttle refuses a call at `now_s`."""
        window, params = self._throttle_window, self.params.throttle
        self._book()
        if now_s >= window.until_s:
            window.advance(now_s)
        if window.timeouts < MIN_TIMEOUTS or self._calm_timeouts:
            return 0.0
        return shed_ratio(
            calls=window.calls,
            timeouts=window.timeouts,
            shed=window.shed,
            k=params.k,
            cap_ratio=params.cap_ratio,
        )
