"""Whether calls may pass: the environment's own breaker, and its obedience to the published circuit.

Two authorities, one gate.
* The **local** breaker knows only this environment. It opens on hard failures
  (fast errors over `failure_ratio`; or nothing at all came back), waits
  `open_s`, then probes. Partial time-outs are the throttle's affair.
* The **published** circuit knows the fleet, and is a minute old. It therefore
  arms probing instead of forbidding: OPEN and HALF_OPEN both let `probe_ratio`
  of the calls through, and `close_after` good ones in a row close the circuit
  *here*, without waiting for the slow loop. A renewal of the same finding does
  not close it again; a new finding (later `changed_at`, harder state, smaller
  `probe_ratio`) does. Only FORCED_OPEN admits nothing, FORCED_CLOSED everything.

Laws: versions never go back (K2); nothing is open from nothing (K4); nothing
enforces OPEN after `valid_until` (P6): what was open is then half-open, on this
environment's own evidence; probes are bounded and a lost one gives its slot
back when its lease ends (K7).

No clock and no randomness in here: `now_s` (epoch seconds) and `draw` ([0, 1))
are arguments. `refresh` must run when `now_s >= recheck_s`; the caller compares,
so that a healthy call pays one comparison.
Diagram and derivation: docs/theory/control.md.
"""

from __future__ import annotations

from flyball.records import FLEET, BreakerParams, Circuit, CircuitState
from flyball.window import Window

NEVER = float("inf")
_LONG_AGO = float("-inf")
# An expired circuit leaves its clients half-open; whoever has not looked for this
# long, or starts anew, finds old news and begins closed (K3, K4).
EXPIRED_PROBE_S = 300.0
# A probe that has neither ended nor been abandoned after this is taken for lost.
PROBE_LEASE_S = 60.0
# Environments that tripped together must not probe together: up to a fifth longer.
OPEN_JITTER = 0.2

_CLOSED = CircuitState.CLOSED
_HALF_OPEN = CircuitState.HALF_OPEN
_OPEN = CircuitState.OPEN
_FORCED_OPEN = CircuitState.FORCED_OPEN
_FORCED_CLOSED = CircuitState.FORCED_CLOSED
_FORCED = frozenset({_FORCED_OPEN, _FORCED_CLOSED})
_GATING = frozenset({_HALF_OPEN, _OPEN, _FORCED_OPEN})
# How much a state forbids; a renewal that is harder is a new finding.
_HARDNESS = {_CLOSED: 0, _FORCED_CLOSED: 0, _HALF_OPEN: 1, _OPEN: 2, _FORCED_OPEN: 3}


class Breaker:
    """Gate of one target in one environment.

    Read by the hot path: `gated` (calls must ask `admit`), `bypassed` (an
    operator forced it closed: shed nothing either), `recheck_s`.
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
        "_obeyed",
        "_params",
        "_probes",
        "_window",
        "bypassed",
        "gated",
        "generation",
        "max_attempts",
        "override_ratio",
        "recheck_s",
        "state",
    )

    def __init__(self, params: BreakerParams, window: Window) -> None:
        self._params = params
        self._window = window
        self._function: Circuit | None = None
        self._fleet: Circuit | None = None
        self._obeyed: Circuit | None = None  # published circuit whose gate is enforced now
        self._closed_here: Circuit | None = None  # the finding that local probes have disproved
        self._expired: Circuit | None = None  # the item whose expiry has been dealt with
        self._local = _CLOSED
        self._local_until_s = NEVER  # end of local OPEN, or of the grace of an expired circuit
        self._forced: CircuitState | None = None  # by a published item
        self._held: CircuitState | None = None  # by this process itself
        self._good = 0  # good probes in a row
        self._probes = 0  # in flight
        self._last_probe_s = _LONG_AGO
        self.generation = 0  # a result of an older generation's probe is no news
        self.state = _CLOSED
        self.gated = False
        self.bypassed = False
        self.override_ratio: float | None = None
        self.max_attempts: int | None = None
        self.recheck_s = NEVER

    def configure(self, params: BreakerParams, window: Window) -> None:
        """Take new parameters; the state stays what it is."""
        self._params = params
        self._window = window

    # --- the published circuit --------------------------------------------------------

    def publish(self, circuit: Circuit) -> bool:
        """Take a circuit item; False if it is not newer than the one of the same key (K2).

        Whether it still holds is decided by the next `refresh`, which is due at once.
        """
        known = self._fleet if circuit.function == FLEET else self._function
        if known is not None and circuit.version <= known.version:
            return False
        if circuit.function == FLEET:
            self._fleet = circuit
        else:
            self._function = circuit
        self.recheck_s = _LONG_AGO
        return True

    def hold(self, state: CircuitState | None) -> CircuitState | None:
        """Force a state over everything published, or let go with None; returns the hold before."""
        before, self._held = self._held, state
        self._settle()
        return before

    def refresh(self, now_s: float) -> None:
        """Decide which authority holds at `now_s`, and until when that must not be asked again."""
        items = [item for item in (self._function, self._fleet) if item is not None]
        valid = [item for item in items if now_s < item.valid_until]
        self._local_timers(now_s)
        circuit = _prevailing(valid)
        if circuit is None:
            self._without_circuit(items, now_s)
        else:
            self._with_circuit(circuit)
        self.override_ratio = None if circuit is None else circuit.budget_ratio
        self.max_attempts = None if circuit is None else circuit.max_attempts
        self._forced = circuit.state if circuit is not None and circuit.state in _FORCED else None
        self._settle()
        self.recheck_s = min([self._local_until_s, *(item.valid_until for item in valid)])

    def _local_timers(self, now_s: float) -> None:
        if now_s >= self._local_until_s:
            self._local_until_s = NEVER
            if self._local == _OPEN:
                self._half_open()
            else:  # the grace of an expired circuit is over: old news
                self._close()

    def _with_circuit(self, circuit: Circuit) -> None:
        if circuit.state not in (_OPEN, _HALF_OPEN):
            # Forced, or closed by the fleet. The local breaker keeps its own evidence.
            self._obeyed = None
            return
        disproved = self._closed_here
        if disproved is not None and not _is_new_finding(circuit, disproved):
            self._obeyed = None
            return
        if self._obeyed is None or _is_new_finding(circuit, self._obeyed):
            self._new_probing()
        self._obeyed = circuit
        self._closed_here = None

    def _without_circuit(self, items: list[Circuit], now_s: float) -> None:
        """Nothing published holds. What was open is now half-open, on local evidence only (P6)."""
        was_obeyed = self._obeyed
        self._obeyed = None
        expired = _prevailing([item for item in items if item.state in (_OPEN, _HALF_OPEN)])
        if expired is None or expired is self._expired:
            return
        self._expired = expired
        disproved = self._closed_here
        if disproved is not None and not _is_new_finding(expired, disproved):
            return
        grace_ends_s = expired.valid_until + EXPIRED_PROBE_S
        if self._local == _CLOSED and now_s < grace_ends_s:
            if was_obeyed is None:
                self._new_probing()
            self._local = _HALF_OPEN
            self._local_until_s = grace_ends_s

    def _settle(self) -> None:
        if self._held is not None:
            self.state = self._held
        elif self._forced is not None:
            self.state = self._forced
        elif self._obeyed is not None and self._local != _OPEN:
            self.state = self._obeyed.state
        else:
            self.state = self._local
        self.gated = self.state in _GATING
        self.bypassed = self.state == _FORCED_CLOSED

    # --- the gate ---------------------------------------------------------------------

    def admit(self, now_s: float, draw: float) -> bool:
        """Whether a call may pass a gated breaker, as a probe. A True must be given back by `release`.

        Probes in flight are at most `close_after`: more cannot teach more. On
        local evidence alone one probe per `open_s` passes whatever the draw,
        else an environment with little traffic would never find out.
        """
        if self.state == _FORCED_OPEN or self._local == _OPEN:
            return False
        if self._probes and now_s - self._last_probe_s > PROBE_LEASE_S:
            self._new_probing()
        if self._probes >= self._close_after():
            return False
        obeyed = self._obeyed
        if obeyed is None:
            starving = now_s - self._last_probe_s >= self._params.open_s
            passes = starving or draw < self._params.probe_ratio
        else:
            passes = draw < obeyed.probe_ratio
        if passes:
            self._probes += 1
            self._last_probe_s = now_s
        return passes

    def _close_after(self) -> int:
        """Good probes in a row that close: the published circuit's own number, else the document's."""
        obeyed = self._obeyed
        if obeyed is None or obeyed.close_after is None:
            return self._params.close_after
        return obeyed.close_after

    def retry_after_s(self, now_s: float) -> float:
        """Seconds until asking again makes sense: an estimate, >= 0."""
        if self._local == _OPEN:
            return max(0.0, self._local_until_s - now_s)
        if self.state == _FORCED_OPEN and self.recheck_s < NEVER:
            return max(0.0, self.recheck_s - now_s)
        return min(self._params.open_s, max(0.0, self.recheck_s - now_s))

    def release(self, generation: int, good: bool | None, *, now_s: float, draw: float) -> None:
        """End a probe: `good` True or False is its verdict, None teaches nothing."""
        if generation != self.generation:
            return
        self._probes -= 1
        if good is None:
            return
        if not good:
            self._good = 0
            if self._obeyed is None and self._local == _HALF_OPEN:
                self._trip(now_s, draw)
            return
        self._good += 1
        if self._good >= self._close_after():
            finding = self._obeyed or self._expired
            known = self._closed_here
            if finding is not None and (known is None or finding.changed_at >= known.changed_at):
                self._closed_here = finding
            self._obeyed = None
            self._close()
            self._settle()

    # --- the local breaker ------------------------------------------------------------

    def consider(self, now_s: float, draw: float) -> None:
        """After a failed first attempt: open if the window says that the target is gone.

        Failures here are fast errors. Time-outs count only when nothing came
        back at all; while something does, the throttle sheds in proportion.
        """
        if self.gated or self.bypassed:
            return
        window = self._window
        calls = window.calls
        if calls < self._params.min_calls:
            return
        nothing_came_back = window.failures + window.timeouts >= calls
        if nothing_came_back or window.failures >= self._params.failure_ratio * calls:
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
        self._new_probing()
        self._window.clear()

    def _new_probing(self) -> None:
        self.generation += 1
        self._good = 0
        self._probes = 0
        self._last_probe_s = _LONG_AGO


def _prevailing(items: list[Circuit]) -> Circuit | None:
    """The item that holds: an operator's force before all, then the function's own, then the fleet's."""
    for item in items:
        if item.state in _FORCED:
            return item
    return items[0] if items else None


def _is_new_finding(circuit: Circuit, known: Circuit) -> bool:
    """Whether `circuit` says more against the target than `known` did, rather than the same once more."""
    return (
        circuit.changed_at > known.changed_at
        or _HARDNESS[circuit.state] > _HARDNESS[known.state]
        or circuit.probe_ratio < known.probe_ratio
    )
