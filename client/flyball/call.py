"""The fast loop without input and output: what one call may do, decided from numbers alone.

A shell asks a `Target` to `begin` a call, makes the attempt, reports its outcome
with `finish`, and waits as long as that says. The guards and the
closed-loop simulator are such shells, so all of them run this very code and no
other. Nothing here sleeps, reads a clock, draws, or raises for what a target did.

    call = target.begin(now_s, draw, deadline_s=..., idempotent=True)
    if isinstance(call, Rejected): give up, or use the fallback
    loop: attempt within call.timeout_s(now_s)
          wait_s = call.finish(outcome, now_s=..., draw=..., latency_ms=...)
          if wait_s is None: over; else sleep wait_s and attempt again
    on anything that is no outcome (cancelled, interrupted): call.abandon()

Order of the brakes, cheapest first: deadline, bulkhead, circuit, throttle, then
per retry idempotence (K9), attempts, circuit again, deadline, budget. Here is
what lets calls in; what becomes of them is in `flyball.calling`.
Derivation of the defaults: docs/theory/control.md; terms: docs/glossary.md.
"""

from __future__ import annotations

from _thread import RLock

from flyball.books import AT_ONCE, Books
from flyball.breaker import NEVER, Breaker, Change
from flyball.calling import COLD_FACTOR, MIN_ATTEMPT_S, Call, HeldCall
from flyball.outcome import Counters, Outcome, Rejected, RejectReason
from flyball.records import (
    DEFAULT_PARAMS,
    FLEET,
    Circuit,
    CircuitState,
    TargetParams,
    clip_circuit,
    clip_params,
    is_kill_switch,
)
from flyball.throttle import MIN_TIMEOUTS
from flyball.window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flyball.bulkhead import Bulkhead, Place

__all__ = [
    "COLD_FACTOR",
    "MIN_ATTEMPT_S",
    "Call",
    "Counters",
    "Outcome",
    "RejectReason",
    "Rejected",
    "Target",
]

# When a call was shed, the ratio that shed it moves by the next slice of the window.
SHED_RETRY_AFTER_S = 3.0
_NOT_QUIET = AT_ONCE


class Target(Books):
    """One dependency as one execution environment sees it: live parameters and everything remembered.

    Safe for use by several threads and tasks at once: a healthy call locks
    nothing, and an increment lost to another thread costs the counts accuracy,
    never a slot or a bound. Times are epoch seconds.

    Before `quiet_until_s` a call meets nothing that could refuse it but its own
    deadline, and holds nothing. Who sees that need not ask: make the attempt,
    `note_success`; if it failed, make the `Call` then. The effect is that of
    `begin` and `finish`, to the last count.
    """

    __slots__ = (
        "_bulkhead",
        "_max_attempts",
        "_published",
        "function",
        "name",
        "quiet_until_s",
        "revision",
        "slow_ms",
    )

    def __init__(self, name: str, *, function: str = "", params: TargetParams = DEFAULT_PARAMS) -> None:
        """Begin closed, with one retry of credit. Circuits of `function` count beside the fleet's."""
        params = clip_params(params)
        super().__init__(params)
        self.name = name
        self.function = function
        self._published = params  # `params` unless the kill switch is on
        self.revision = -1  # of the document behind `params`; -1 = compiled in
        self._breaker = Breaker(params.breaker, self._window, self._lock)
        self._bulkhead: Bulkhead | None = None
        self.slow_ms = NEVER  # an answer that took this long is slow
        self._obey_limits(params)
        self._max_attempts = params.retry.max_attempts
        self.quiet_until_s = _NOT_QUIET

    # --- what the slow loop says ------------------------------------------------------

    def apply_params(self, params: TargetParams, revision: int, *, withdrawn: int = -1) -> bool:
        """Obey the parameters of a document, clipped to the bounds (K10); False if it is not newer (A3, K2).

        Nothing remembered is lost: savings of the budget are kept up to the new
        burst, windows are kept unless their length changes. `withdrawn`: the
        highest revision that its source has taken back; those give way to a lower one.
        """
        if revision == self.revision or (revision < self.revision and self.revision > withdrawn):
            return False
        self.revision = revision
        self._published = clip_params(params)
        self._breaker.see()
        self._obey_params()
        self._disturb()
        return True

    def _obey_params(self) -> None:
        """Obey the published parameters; the compiled-in ones while the kill switch is on (O1)."""
        params = DEFAULT_PARAMS if self._breaker.killed else self._published
        self._book()
        before, self.params = self.params, params
        if params is not before:
            self._book_at_s = AT_ONCE
            if params.breaker.window_s != before.breaker.window_s:
                self._window = Window(params.breaker.window_s, self._lock)
            one = self._throttle_window is self._window
            if params.throttle.window_s != before.throttle.window_s or not one:
                self._throttle_window = self._window_for_throttle(params)
            self._breaker.configure(params.breaker, self._window)
            self._obey_limits(params)
        retry, breaker, budget = params.retry, self._breaker, self._budget
        self._max_attempts = retry.max_attempts if breaker.max_attempts is None else breaker.max_attempts
        ratio = retry.budget_ratio if breaker.override_ratio is None else breaker.override_ratio
        if ratio != budget.ratio or retry.budget_burst != budget.burst:
            budget.configure(ratio=ratio, burst=retry.budget_burst)

    def _obey_limits(self, params: TargetParams) -> None:
        slow_ms, limit = params.breaker.slow_call_ms, params.bulkhead.max_concurrent
        self.slow_ms = float(slow_ms) if slow_ms > 0 else NEVER
        if limit == 0:
            self._bulkhead = None
        elif self._bulkhead is None:
            from flyball.bulkhead import Bulkhead  # few need it: a cold start does not pay for it

            self._bulkhead = Bulkhead(limit)
        else:
            self._bulkhead.limit = limit

    @property
    def switch(self) -> Circuit | None:
        """The kill switch in the newest position known here; None if none was ever read."""
        return self._breaker._switch

    def apply_circuit(self, circuit: Circuit | None) -> bool:
        """Obey a published circuit; False if it is not for this target and function, or not newer (K2, K4).

        None (no item was found) changes nothing: a replica may lag behind, and
        what is known ends by itself at its `valid_until`.
        """
        if circuit is None:
            return False
        ours = circuit.target == self.name and circuit.function in (FLEET, self.function)
        if not (ours or is_kill_switch(circuit)) or not self._breaker.publish(clip_circuit(circuit)):
            return False
        self._disturb()
        return True

    def hold(self, state: CircuitState | None) -> CircuitState | None:
        """Force a state in this environment, over everything published; None lets go. Returns the last hold.

        For tests and embeddings with their own kill switch. Only the two forced states mean
        anything more than what the breaker would do.
        """
        before = self._breaker.hold(state)
        self._disturb()
        return before

    def begin_blind(self, now_s: float) -> None:
        """Refuse calls until something is known (a document, a circuit, or `see`), then act on that.

        For dependencies to which a blind call is worse than none. Ends by itself:
        after `breaker.EXPIRED_PROBE_S` seconds calls pass as probes.
        """
        self._breaker.begin_blind(now_s)
        self._disturb()

    def see(self) -> None:
        """End `begin_blind`: the store answered, if only that nothing was published."""
        self._breaker.see()
        self._disturb()

    def renew(self) -> None:
        """Begin anew what must not be had twice: this process is a copy, by fork or from a snapshot.

        Counts are the original's to report, calls under way its own to end; of
        the savings of the budget at most a beginner's credit is left, for there
        may be a thousand copies. What was learned of the target stays: it is as
        true here, and ages. Connections are cold again.
        """
        self._lock = RLock()
        self.counters = Counters()
        self._warm = False
        self._window.renew(self._lock)
        self._throttle_window.renew(self._lock)
        self._breaker.renew(self._lock)
        self._budget.renew(self._lock)
        if self._bulkhead is not None:
            self._bulkhead.renew()
        self._disturb()

    def watch(self) -> None:
        """Collect changes of the circuit state for `take_changes`."""
        if self._breaker.changes is None:
            self._breaker.changes = []
        self._disturb()

    def take_changes(self) -> list[Change]:
        """Return the changes since the last time, oldest first: state before, after, and who decided."""
        changes, taken = self._breaker.changes, []
        while changes:
            taken.append(changes.pop(0))
        return taken

    def _refresh(self, now_s: float) -> None:
        self._book()
        self._breaker.refresh(now_s)
        self._obey_params()
        self._disturb()

    def _disturb(self) -> None:
        """Something changed: the next call must ask. Under the lock, so that `_calm` cannot overlook it."""
        with self._lock:
            self.quiet_until_s = _NOT_QUIET

    def _calm(self) -> None:
        """Find out until when calls need not ask."""
        with self._lock:
            breaker = self._breaker
            asking = breaker.gated or self._bulkhead is not None
            watched = breaker.changes is not None  # hooks hear of changes at the next call's begin
            sheds = self._throttle_window.timeouts >= MIN_TIMEOUTS
            self.quiet_until_s = _NOT_QUIET if asking or watched or sheds else breaker.recheck_s

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

    # --- calls ------------------------------------------------------------------------

    def begin(
        self, now_s: float, draw: float, *, deadline_s: float | None = None, idempotent: bool = False
    ) -> Call | Rejected:
        """Return the Call to make, or why none is to be made.

        Args:
            now_s: Epoch seconds.
            draw: Uniform in [0, 1); decides probing and shedding, if `needs_draw`.
            deadline_s: The moment, on the clock of `now_s`, after which no
                answer is of use; None if there is none.
            idempotent: Whether the call may be repeated at all.
        """
        if now_s < self.quiet_until_s and (deadline_s is None or now_s < deadline_s):
            return Call(self, deadline_s, idempotent, -1)
        breaker = self._breaker
        if now_s >= breaker.recheck_s:
            self._refresh(now_s)
        if deadline_s is not None and now_s >= deadline_s:
            return self._reject(RejectReason.DEADLINE, 0.0)
        if breaker.gated or self._bulkhead is not None:
            return self._begin_held(now_s, draw, deadline_s, idempotent)
        if self._sheds(now_s, draw):
            return self._reject(RejectReason.SHED, SHED_RETRY_AFTER_S)
        self._calm()
        return Call(self, deadline_s, idempotent, -1)

    def _begin_held(
        self, now_s: float, draw: float, deadline_s: float | None, idempotent: bool
    ) -> Call | Rejected:
        """Begin a call that holds a place in the bulkhead, a probe's slot, or both."""
        breaker, place, probe = self._breaker, None, -1
        if self._bulkhead is not None:
            place = self._bulkhead.enter()
            if place is None:
                # Free as soon as any other call ends: nobody knows when.
                return self._reject(RejectReason.BULKHEAD_FULL, 0.0)
        if breaker.gated:
            probe = breaker.admit(now_s, draw)
            if probe < 0:
                return self._reject(breaker.reason, breaker.retry_after_s(now_s), place)
        elif self._sheds(now_s, draw):
            return self._reject(RejectReason.SHED, SHED_RETRY_AFTER_S, place)
        return HeldCall(self, deadline_s, idempotent, probe, place)

    @property
    def needs_draw(self) -> bool:
        """Whether the next `begin` may look at its draw; if not, any number will do."""
        breaker = self._breaker
        return (
            breaker.gated
            or breaker.recheck_s < float("inf")
            or self._throttle_window.timeouts >= MIN_TIMEOUTS
        )

    def _note(self, outcome: Outcome, slow: bool, now_s: float, draw: float) -> bool:
        asked = super()._note(outcome, slow, now_s, draw)
        if asked:
            self._disturb()
        return asked

    def _reject(self, reason: RejectReason, retry_after_s: float, place: Place | None = None) -> Rejected:
        if place is not None:
            place.leave()
        self._counters.short_circuited += 1
        return Rejected(reason, retry_after_s)
