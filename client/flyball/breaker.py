"""Whether calls may pass: the environment's own breaker, and its obedience to the published circuit.

Two authorities, one gate.
* The **local** breaker knows only this environment. It opens when told to
  (`flyball.books` says when), waits `open_s`, then probes.
* The **published** circuit knows the fleet, and is a minute old. It therefore
  arms probing instead of forbidding: OPEN and HALF_OPEN both let `probe_ratio`
  of the calls through, and `close_after` good ones in a row close the circuit
  *here*, without waiting for the slow loop. A renewal or loosening of the same
  finding does not gate it again; a new finding (later `changed_at`, harder state,
  smaller `probe_ratio`) does. Only FORCED_OPEN admits nothing, FORCED_CLOSED everything.
  The kill switch is one FORCED_CLOSED item for all targets, over all others.

Laws: versions never go back (K2); nothing is open from nothing (K4); nothing
enforces OPEN after `valid_until` (P6): what was open is then half-open, on this
environment's own evidence; probes are bounded and a lost one gives its slot
back when its lease ends (K7).

Whoever declared that a blind call is worse than none begins **blind**: open until
anything is known, for EXPIRED_PROBE_S at most, then half-open on own evidence.

No clock and no randomness in here: `now_s` (epoch seconds) and `draw` ([0, 1))
are arguments. A wall clock that was set back must not prolong anything: a pause
longer than it can be is cut to its length, a probe in the future is an old one.
`refresh` must run when `now_s >= recheck_s`; the caller compares, so that a
healthy call pays one comparison. Whatever else runs is locked, so that bounds
hold exactly among threads.
Diagram and derivation: docs/theory/control.md.
"""

from __future__ import annotations

from _thread import RLock

from flyball.outcome import RejectReason
from flyball.records import (
    FLEET,
    FORCED,
    BreakerParams,
    Circuit,
    CircuitState,
    is_kill_switch,
    is_new_finding,
    prevailing,
    probe_share,
)
from flyball.window import Window

NEVER = float("inf")
_LONG_AGO = float("-inf")
# An expired circuit leaves its clients half-open; whoever has not looked for this
# long, or starts anew, finds old news and begins closed (K3, K4).
EXPIRED_PROBE_S = 300.0
# A probe that has neither ended nor been abandoned after this is taken for lost.
PROBE_LEASE_S = 60.0
# Clocks are adjusted by milliseconds, and threads race: only more than this is a step back.
SLACK_S = 1.0
# Environments that tripped together must not probe together: up to a fifth longer.
OPEN_JITTER = 0.2

_CLOSED = CircuitState.CLOSED
_HALF_OPEN = CircuitState.HALF_OPEN
_OPEN = CircuitState.OPEN
_FORCED_OPEN = CircuitState.FORCED_OPEN
_FORCED_CLOSED = CircuitState.FORCED_CLOSED
_GATING = frozenset({_HALF_OPEN, _OPEN, _FORCED_OPEN})
Change = tuple[CircuitState, CircuitState, str]  # before, after, by "local", "published" or "held"


class Breaker:
    """Gate of one target in one environment.

    Read by the hot path: `gated` (calls must ask `admit`), `bypassed` (an
    operator forced it closed: shed nothing either), `recheck_s`. `killed`: the
    kill switch is on. `changes` collects (before, after, who decided) if it is
    given a list; whoever gave it takes them out.
    """

    __slots__ = (
        "_closed_here",
        "_expired",
        "_fleet",
        "_forced",
        "_function",
        "_good",
        "_held",
        "_last_probe_s",
        "_local",
        "_local_until_s",
        "_lock",
        "_obeyed",
        "_one_disproves",
        "_params",
        "_probes",
        "_switch",
        "_window",
        "blind_since_s",
        "bypassed",
        "changes",
        "gated",
        "generation",
        "killed",
        "max_attempts",
        "override_ratio",
        "recheck_s",
        "state",
    )

    def __init__(self, params: BreakerParams, window: Window, lock: RLock | None = None) -> None:
        self._lock = RLock() if lock is None else lock
        self._params = params
        self._window = window
        self._function: Circuit | None = None
        self._fleet: Circuit | None = None
        self._switch: Circuit | None = None  # the kill switch, in whatever position
        self._obeyed: Circuit | None = None  # published circuit whose gate is enforced now
        self._closed_here: Circuit | None = None  # the finding that local probes have disproved
        self._expired: Circuit | None = None  # the item whose expiry has been dealt with
        self._local = _CLOSED
        self._local_until_s = NEVER  # end of local OPEN, or of the grace of an expired circuit
        self._forced: CircuitState | None = None  # by a published item
        self._held: CircuitState | None = None  # by this process itself
        self._one_disproves = False  # what opened it here
        self._good = 0  # good probes in a row
        self._probes = 0  # in flight
        self._last_probe_s = _LONG_AGO
        self.generation = 0  # a result of an older generation's probe is no news
        self.state = _CLOSED
        self.gated = False
        self.bypassed = False
        self.killed = False
        self.override_ratio: float | None = None
        self.max_attempts: int | None = None
        self.recheck_s = NEVER
        self.blind_since_s: float | None = None
        self.changes: list[Change] | None = None

    def configure(self, params: BreakerParams, window: Window) -> None:
        """Take new parameters; the state stays what it is."""
        self._params, self._window = params, window

    # --- the published circuit --------------------------------------------------------

    def publish(self, circuit: Circuit) -> bool:
        """Take a circuit item, for the next `refresh`; False if it is not newer than that of its key (K2)."""
        if is_kill_switch(circuit):
            slot, circuit = "_switch", circuit._replace(budget_ratio=None, max_attempts=None)
        else:
            slot = "_fleet" if circuit.function == FLEET else "_function"
        with self._lock:
            known: Circuit | None = getattr(self, slot)
            if known is not None and circuit.version <= known.version:
                return False
            setattr(self, slot, circuit)
            self.recheck_s = _LONG_AGO
        self.see()
        return True

    def hold(self, state: CircuitState | None) -> CircuitState | None:
        """Force a state over everything published, or let go with None; returns the hold before."""
        with self._lock:
            before, self._held = self._held, state
            self._settle()
            return before

    def begin_blind(self, now_s: float) -> None:
        """Refuse calls until `see` is told that something is known, for EXPIRED_PROBE_S at most."""
        with self._lock:
            self.blind_since_s = now_s
            self.recheck_s = _LONG_AGO
            self._settle()

    def see(self) -> None:
        """Something is known of the target, if only that nothing was published."""
        if self.blind_since_s is not None:
            with self._lock:
                self.blind_since_s = None
                self.recheck_s = _LONG_AGO
                self._settle()

    def refresh(self, now_s: float) -> None:
        """Decide which authority holds at `now_s`, and until when that must not be asked again."""
        with self._lock:
            self._refresh(now_s)

    def _refresh(self, now_s: float) -> None:
        items = [item for item in (self._function, self._fleet) if item is not None]
        valid = [item for item in items if now_s < item.valid_until]
        self._local_timers(now_s)
        switch = self._switch
        if switch is not None and switch.state == _FORCED_CLOSED and now_s < switch.valid_until:
            valid.append(switch)
            circuit: Circuit | None = switch
        else:
            switch, circuit = None, prevailing(valid)
        self.killed = switch is not None
        if circuit is None:
            self._without_circuit(items, now_s)
        else:
            self._with_circuit(circuit)
        self.override_ratio = None if circuit is None else circuit.budget_ratio
        self.max_attempts = None if circuit is None else circuit.max_attempts
        self._forced = circuit.state if circuit is not None and circuit.state in FORCED else None
        self._settle()
        self.recheck_s = min([self._local_until_s, *(item.valid_until for item in valid)])
        if self.blind_since_s is not None:
            self.recheck_s = _LONG_AGO  # nothing is in a hurry while everything is refused

    def _local_timers(self, now_s: float) -> None:
        since_s = self.blind_since_s
        if since_s is not None and not -SLACK_S <= now_s - since_s < EXPIRED_PROBE_S:
            self.blind_since_s = None
            if self._local == _CLOSED:
                self._half_open()
        if now_s >= self._local_until_s:
            self._local_until_s = NEVER
            if self._local == _OPEN:
                self._half_open()
            else:  # the grace of an expired circuit is over: old news
                self._close()

    def _with_circuit(self, circuit: Circuit) -> None:
        disproved = self._closed_here
        same_key = disproved is not None and disproved.function == circuit.function
        if circuit.state not in (_OPEN, _HALF_OPEN):
            # Forced, or closed by the fleet. The local breaker keeps its own evidence.
            self._obeyed = None
            if same_key and circuit.state == _CLOSED:
                self._closed_here = None  # that finding is over for everybody: the next is another one
            return
        if disproved is not None and not is_new_finding(circuit, disproved):
            self._obeyed = None
            if same_key:
                self._closed_here = circuit  # as it was loosened or renewed
            return
        if self._obeyed is None or is_new_finding(circuit, self._obeyed):
            self._new_probing()
        self._obeyed = circuit
        self._closed_here = None

    def _without_circuit(self, items: list[Circuit], now_s: float) -> None:
        """Nothing published holds. What was open is now half-open, on local evidence only (P6)."""
        was_obeyed = self._obeyed
        self._obeyed = None
        expired = prevailing([item for item in items if item.state in (_OPEN, _HALF_OPEN)])
        if expired is None or expired is self._expired:
            return
        self._expired = expired
        disproved = self._closed_here
        if disproved is not None and not is_new_finding(expired, disproved):
            return
        grace_ends_s = expired.valid_until + EXPIRED_PROBE_S
        if self._local == _CLOSED and now_s < grace_ends_s:
            if was_obeyed is None:
                self._new_probing()
            self._local = _HALF_OPEN
            self._local_until_s = grace_ends_s

    def _settle(self) -> None:
        before = self.state
        if self._held is not None:
            self.state, who = self._held, "held"
        elif self._forced is not None:
            self.state, who = self._forced, "published"
        elif self._obeyed is not None and self._local != _OPEN:
            self.state, who = self._obeyed.state, "published"
        elif self.blind_since_s is not None:
            self.state, who = _OPEN, "local"
        else:
            self.state, who = self._local, "local"
        self.gated = self.state in _GATING
        self.bypassed = self.state == _FORCED_CLOSED
        if self.changes is not None and self.state != before:
            self.changes.append((before, self.state, who))

    # --- the gate ---------------------------------------------------------------------

    def admit(self, now_s: float, draw: float) -> int:
        """Return the generation of the probe as which a call may pass, for `release`; -1 = it may not.

        Probes in flight are at most `close_after`: more cannot teach more. What
        opened on its own evidence lets one probe per `open_s` pass whatever the
        draw, also under a published circuit, else an environment with little
        traffic would never find out.
        """
        with self._lock:
            return self.generation if self._admit(now_s, draw) else -1

    @property
    def reason(self) -> RejectReason:
        """Why calls do not pass."""
        blind = self.blind_since_s is not None and self.state == _OPEN
        return RejectReason.UNKNOWN if blind else RejectReason.CIRCUIT_OPEN

    def _admit(self, now_s: float, draw: float) -> bool:
        if self.state == _FORCED_OPEN or self._local == _OPEN or self.blind_since_s is not None:
            self._mend_pause(now_s)
            return False
        since_s = now_s - self._last_probe_s
        if self._probes and not -SLACK_S <= since_s <= PROBE_LEASE_S:
            self._new_probing()
        if self._probes >= self._close_after():
            return False
        obeyed = self._obeyed
        own = obeyed is None or self._local == _HALF_OPEN  # opened on what it saw itself
        starving = own and not -SLACK_S <= since_s < self._params.open_s
        ratio = (obeyed or self._params).probe_ratio
        passes = starving or draw < probe_share(ratio, good=self._good, close_after=self._close_after())
        if passes:
            self._probes += 1
            self._last_probe_s = now_s
        return passes

    def _mend_pause(self, now_s: float) -> None:
        """A pause that has longer to go than pauses are long: the clock was set back, or `open_s` was."""
        if self._local == _OPEN and self._local_until_s - now_s > self._params.open_s * (1.0 + OPEN_JITTER):
            self._local_until_s = now_s + self._params.open_s
            self.recheck_s = min(self.recheck_s, self._local_until_s)

    def _close_after(self) -> int:
        """Good probes in a row that close: the published circuit's own number, else the document's."""
        if self._obeyed is None:
            return 1 if self._one_disproves else self._params.close_after
        own = self._obeyed.close_after
        return self._params.close_after if own is None else own

    def retry_after_s(self, now_s: float) -> float:
        """Seconds until asking again makes sense: an estimate, >= 0."""
        if self.blind_since_s is not None:
            return min(self._params.open_s, max(0.0, self.blind_since_s + EXPIRED_PROBE_S - now_s))
        if self._local == _OPEN:
            return max(0.0, self._local_until_s - now_s)
        if self.state == _FORCED_OPEN and self.recheck_s < NEVER:
            return max(0.0, self.recheck_s - now_s)
        return min(self._params.open_s, max(0.0, self.recheck_s - now_s))

    def release(self, generation: int, good: bool | None, *, now_s: float, draw: float) -> None:
        """End a probe: `good` True or False is its verdict, None teaches nothing."""
        with self._lock:
            self._release(generation, good, now_s, draw)

    def _release(self, generation: int, good: bool | None, now_s: float, draw: float) -> None:
        if generation != self.generation:
            return
        self._probes -= 1
        if good is None:
            return
        self._good = self._good + 1 if good else 0
        if not good and self._obeyed is None and self._local == _HALF_OPEN:
            self._trip(now_s, draw)
        elif self._good >= self._close_after():
            finding = self._obeyed or self._expired
            known = self._closed_here
            if finding is not None and (known is None or finding.changed_at >= known.changed_at):
                self._closed_here = finding
            self._obeyed = None
            self._close()
            self._settle()

    # --- the local breaker ------------------------------------------------------------

    def trip(self, now_s: float, draw: float, *, nothing_came: bool = False) -> None:
        """Open: this environment sees that the target is gone. Nothing while calls are probes or forced.

        Was it because `nothing_came` back, one good probe disproves that.
        """
        with self._lock:
            if not (self.gated or self.bypassed):
                self._one_disproves = nothing_came
                self._trip(now_s, draw)

    def _trip(self, now_s: float, draw: float) -> None:
        self._local = _OPEN
        self._local_until_s = now_s + self._params.open_s * (1.0 + OPEN_JITTER * draw)
        self._new_probing()
        self.recheck_s = min(self.recheck_s, self._local_until_s)
        self._settle()

    def _half_open(self) -> None:
        self._local = _HALF_OPEN
        self._new_probing()

    def _close(self) -> None:
        self._local = _CLOSED
        self._local_until_s = NEVER
        self._one_disproves = False
        self._new_probing()
        self._window.clear()

    def renew(self, lock: RLock) -> None:
        """Forget probes in flight and the lock: both are the original's of which this is a copy."""
        self._lock = lock
        self._new_probing()

    def _new_probing(self) -> None:
        self.generation += 1
        self._good = 0
        self._probes = 0
        self._last_probe_s = _LONG_AGO
