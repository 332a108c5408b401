"""One round of control: sense, load, step, save if nobody else did, act, journal. No AWS names here.

Order of effects (E5): the state first, conditionally; then the journal; then
the circuit item; then the configuration. A crash between any two is mended by
the next round, because the saved state says what should be published, and
every act carries the version it came from. A round that loses the race for a
state reads what won and decides again from there.

States that are nominal are saved at most every `checkpoint_every_s`: a cold
start re-derives the rest from the metrics since the stored stamp, and the store
sees one write in a quarter of an hour instead of one a minute per target. A
decision that changes anything, and every state off nominal, is saved at once.

An event is only a wake-up: evidence comes from the sensor (or from `given`
windows of a metric stream), so duplicates and reordering change nothing (E4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from flyball.contract import Circuit, CircuitState, TargetParams
from flyball_controller.check_book import read_rows
from flyball_controller.codec import decode_state, encode_state, journal_record, short_hash
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.fleet import FleetState, apply_fleet, fleet_step
from flyball_controller.core.model import Decision, Hold, Mode, Observation, Quality
from flyball_controller.core.state import State, initial_state, nominal_setpoint
from flyball_controller.core.step import step
from flyball_controller.fleet_codec import decode_fleet, encode_fleet
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Checkpoint, Conflict, PortError, Saved
from flyball_controller.publication import backfill, circuits_of, is_news, is_refused, to_params
from flyball_controller.round_records import Ports, Remembered, RunReport, Trigger, fault_of, reset_record

__all__ = ["Ports", "Remembered", "RunReport", "Trigger", "run_once"]

CHECKPOINT_EVERY_S = 900.0
CONFLICTS_MAX = 5  # then the event is not acknowledged (P8)
BACKFILL_DAYS = 14  # two weeks: every hour of the week twice
FLEET_KEY = "#fleet"
SAVE_ATTEMPTS_FLEET = 3


class _Round(NamedTuple):
    """What one target's steps came to."""

    state: State
    decisions: tuple[Decision, ...]
    records: tuple[dict[str, object], ...]

    @property
    def moved(self) -> bool:
        """Whether any step changed the setpoint."""
        return any(decision.changed for decision in self.decisions)


def run_once(
    targets: Sequence[str],
    *,
    ports: Ports,
    policies: PolicySet,
    now_s: float,
    trigger: Trigger,
    given: Mapping[str, Sequence[Observation]] | None = None,
    cache: dict[str, Remembered] | None = None,
    sole_writer: bool = False,
    fleet_size: int | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> RunReport:
    """Run one round for some targets and return what happened; backend failures are reported, not raised.

    Args:
        targets: Names, any order; duplicates are dropped.
        ports: The world.
        policies: The operator's intent.
        now_s: Time of this round, epoch seconds.
        trigger: What woke the controller.
        given: Windows that came with the event; they are stepped before the sensor's.
        cache: States that this process already knows; updated. None = always read the store.
        sole_writer: Nobody else writes these states: the cache is trusted without a look at the store.
            Else a cached state counts only if its version still stands there (P7).
        fleet_size: How many targets there are in all; default: those of this round.
        checkpoint_every_s: Longest time that a nominal state may stay unsaved.
    """
    names = sorted(set(targets))
    rounds = _Rounds(ports, policies, now_s, trigger, given or {}, cache, checkpoint_every_s)
    rounds.begin(names, fleet_size if fleet_size is not None else len(names), sole_writer=sole_writer)
    for name in names:
        rounds.apart(name, rounds.run_target)
    return rounds.finish()


class _Rounds:
    """The mutable part of one `run_once`: what was read once for all targets, and what piles up."""

    def __init__(
        self,
        ports: Ports,
        policies: PolicySet,
        now_s: float,
        trigger: Trigger,
        given: Mapping[str, Sequence[Observation]],
        cache: dict[str, Remembered] | None,
        checkpoint_every_s: float,
    ) -> None:
        self.ports = ports
        self.policies = policies
        self.now_s = now_s
        self.trigger = trigger
        self.given = given
        self.cache = cache
        self.checkpoint_every_s = checkpoint_every_s
        self.errors: list[tuple[str, PortError]] = []
        self.decisions: list[Decision] = []
        self.records: list[dict[str, object]] = []
        self.circuits: list[tuple[str, Circuit]] = []
        self.wishes: dict[str, TargetParams] = {}
        self.urgent = False
        self.conflicts = 0
        self.known: dict[str, Remembered] = {}
        self.sensed: Mapping[str, tuple[Observation, ...]] = {}
        self.rows: Mapping[str, Observation] = {}  # good checks of restricted targets
        self.holds: Mapping[str, Hold] = {}
        self.fleet = FleetState()  # as stored
        self.fleet_now = FleetState()  # with what this round decided so far
        self.reread: set[str] = (
            set()
        )  # targets whose state came from the store: what was published is unknown
        self.fleet_version = 0
        self.fleet_size = 1
        self.failed: set[str] = set()

    # --- reading, once for all targets ---------------------------------------------------

    def begin(self, names: Sequence[str], fleet_size: int, *, sole_writer: bool) -> None:
        """Read checkpoints, holds, the fleet's record and new metrics."""
        self.fleet_size = fleet_size
        cached = self.cache or {}
        self.known = {name: cached[name] for name in names if name in cached}
        unknown = [name for name in names if name not in self.known or not sole_writer]
        try:
            stored = self.ports.checkpoints.load([*unknown, FLEET_KEY])
        except PortError as error:
            self._fail(names, error)
            return
        fleet_item = stored[FLEET_KEY]
        self.fleet_version = fleet_item.version
        self.fleet = self.fleet_now = decode_fleet(fleet_item.data)
        for name in unknown:
            if name not in self.known or self.known[name].version != stored[name].version:
                self.apart(name, partial(self._reread, stored=stored[name]))
        names = [name for name in names if name not in self.failed]
        try:
            self.holds = self.ports.holds.active(names)
        except PortError as error:
            # Unreadable holds: keep what each state remembers; a stored override still expires by itself.
            self.errors.append(("*", error))
        since_s = {name: self.known[name].state.stamp_s for name in names}
        try:
            self.sensed = self.ports.sensor.read(names, since_s=since_s, now_s=self.now_s)
        except PortError as error:
            # Blind is not healthy and not broken: every target steps without data (C7).
            self.errors.append(("*", error))
        try:
            self.rows = read_rows(self.ports.checkpoints, self.known, self.policies, now_s=self.now_s)
        except PortError as error:  # checks are a help: a round without them need not be repeated
            self.errors.append(("*", PortError(str(error), backend=error.backend, retryable=False)))

    def apart(self, name: str, act: Callable[[str], object]) -> None:
        """Do one target's part; a fault of ours in it is told, and nobody else's part is left undone."""
        try:
            act(name)
        except Exception as fault:  # noqa: BLE001 - it has no known kind: that is what makes it a fault
            self._fail([name], fault_of(name, fault))
            self._forget(name)

    def _fail(self, names: Sequence[str], error: PortError) -> None:
        self.failed.update(names)
        self.errors.extend((name, error) for name in names)

    def _reread(self, name: str, stored: Checkpoint) -> None:
        self.known[name] = self._remember(name, stored)
        self.reread.add(name)

    def _remember(self, name: str, stored: Checkpoint) -> Remembered:
        """Return the decoded checkpoint; damaged bytes mean a fresh start, never a crash nor an OPEN."""
        policy = self.policies.for_target(name)
        if stored.version == 0:
            return Remembered(0, self._backfilled(name, initial_state(policy)), -1.0)
        try:
            return Remembered(stored.version, decode_state(stored.data), self.now_s)
        except CheckpointError as error:
            self.records.append(reset_record(name, str(error), at_s=self.now_s, trigger=self.trigger))
            return Remembered(stored.version, self._backfilled(name, initial_state(policy)), -1.0)

    def _backfilled(self, name: str, state: State) -> State:
        """Return the state with weeks of history learned: a new target is sharp from its first minute."""
        policy = self.policies.for_target(name)
        try:
            # The newest minutes are left for the steps: a target may be down when it is first seen.
            until_s = self.now_s - policy.act_within_s
            history = self.ports.sensor.history(name, until_s=until_s, days=BACKFILL_DAYS)
        except PortError as error:
            self.errors.append((name, error))
            return state
        return backfill(state, history, policy, now_s=self.now_s)

    # --- one target ----------------------------------------------------------------------

    def run_target(self, name: str) -> None:
        """Step one target and save its state; a lost race is decided again from what won."""
        if name in self.failed:
            return
        for _ in range(CONFLICTS_MAX):
            known = self.known[name]
            outcome = self._step_all(name, known.state)
            if not self._must_save(known, outcome, name):
                self._accept(name, known.version, known.saved_s, outcome, saved=False)
                return
            data = encode_state(outcome.state)
            write_id = short_hash(
                data + self.trigger.detail.encode("utf-8", "replace") + repr(self.now_s).encode()
            )
            try:
                saved = self.ports.checkpoints.save(
                    name,
                    data,
                    expected_version=known.version,
                    write_id=write_id,
                    stamp_s=outcome.state.stamp_s,
                    now_s=self.now_s,
                )
            except PortError as error:
                self.errors.append((name, error))
                self._forget(name)
                return
            if isinstance(saved, Saved):
                self._accept(name, saved.version, self.now_s, outcome, saved=True)
                return
            self._lose(name, saved)
        self.errors.append(
            (
                name,
                PortError(
                    f"{name}: lost {CONFLICTS_MAX} races in a row", backend="checkpoints", retryable=True
                ),
            )
        )
        self._forget(name)

    def _lose(self, name: str, conflict: Conflict) -> None:
        self.conflicts += 1
        self.known[name] = self._remember(name, conflict.current)

    def _forget(self, name: str) -> None:
        if self.cache is not None:
            self.cache.pop(name, None)

    def _step_all(self, name: str, state: State) -> _Round:
        """Step every new window in order; with none, let time pass in one MISSING step."""
        policy = self.policies.for_target(name)
        state = apply_fleet(state, self.fleet_now, policy, target=name, fleet_size=self.fleet_size)
        hold = self.holds.get(name)
        held = hold is not None and hold != state.hold
        state = state._replace(hold=hold) if hold is not None else state
        windows = [*self.given.get(name, ()), *self.sensed.get(name, ())]
        windows = sorted(
            (w for w in windows if w.start_s > state.stamp_s), key=lambda w: (w.start_s, w.quality)
        )
        if not windows or held or self._hold_lapsed(state):
            windows.append(_silence(name, self.now_s))
        decisions: list[Decision] = []
        records: list[dict[str, object]] = []
        rows = [self.rows[name]] if name in self.rows else []
        for seen in [*windows, *rows]:
            before = state
            after, decision = step(before, seen, policy)
            if seen.quality == Quality.PROBED and not decision.changed:
                continue  # checks that move nothing leave no trace
            state = after
            decisions.append(decision)
            news = is_news(decision, before, held=held)
            held = held and is_refused(decision)
            if news:
                record = journal_record(
                    decision,
                    seen,
                    encode_state(before),
                    encode_state(state),
                    shadow=policy.mode == Mode.SHADOW,
                    with_state=True,
                )
                record["trigger"] = self.trigger.kind
                record["trigger_detail"] = self.trigger.detail
                records.append(record)
        return _Round(state, tuple(decisions), tuple(records))

    def _hold_lapsed(self, state: State) -> bool:
        forced = state.law.applied.circuit in (CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED)
        return forced and self.now_s >= state.hold.until_s

    def _must_save(self, known: Remembered, outcome: _Round, name: str) -> bool:
        """Save at once what changed or is off nominal; let nominal learning wait for its cadence."""
        policy = self.policies.for_target(name)
        if outcome.state == known.state:
            return False
        off = outcome.state.law.applied != nominal_setpoint(policy) or outcome.state.law.off_since_s >= 0.0
        due = known.saved_s < 0.0 or self.now_s - known.saved_s >= self.checkpoint_every_s
        return off or outcome.moved or due or outcome.state.hold != known.state.hold or self.cache is None

    def _accept(self, name: str, version: int, saved_s: float, outcome: _Round, *, saved: bool) -> None:
        remembered = Remembered(version, outcome.state, saved_s)
        self.known[name] = remembered
        if self.cache is not None:
            self.cache[name] = remembered
        self.decisions.extend(outcome.decisions)
        self.records.extend(outcome.records)
        policy = self.policies.for_target(name)
        if policy.mode != Mode.ACTIVE:
            return
        applied = outcome.state.law.applied
        canary = self.policies.canary_functions(name)
        self.wishes[name] = to_params(nominal_setpoint(policy) if canary else applied, policy)
        self.urgent = self.urgent or any(
            decision.changed and decision.urgent for decision in outcome.decisions
        )
        if outcome.moved:
            self.fleet_now = fleet_step(
                self.fleet_now, outcome.decisions, self.policies.default, at_s=self.now_s
            )
        # A state fresh from the store may never have been published (a crash, a lost reply): offer it
        # again. The store's condition on the version makes that harmless.
        unsure = name in self.reread and outcome.state.law.changed_s >= 0.0
        if version > 0 and (outcome.moved or unsure or (saved and applied != nominal_setpoint(policy))):
            items = circuits_of(name, outcome.state, outcome.decisions[-1], version, canary)
            self.circuits.extend((name, item) for item in items)

    # --- acting ---------------------------------------------------------------------------

    def finish(self) -> RunReport:
        """Save the fleet's record, then journal, circuits and configuration, in this order."""
        self._save_fleet()
        self._attempt("journal", self._append_journal)
        for name, circuit in self.circuits:
            if not self._attempt(name, partial(self.ports.circuits.publish, circuit)):
                self._forget(name)  # the next round reads the state again and offers its circuit again
        report = None
        if self.wishes:
            try:
                report = self.ports.publisher.publish(
                    self.wishes, urgent=self.urgent, policy_hash=self.policies.hash, now_s=self.now_s
                )
            except PortError as error:
                self.errors.append(("configuration", error))
        return RunReport(tuple(self.decisions), tuple(self.errors), self.conflicts, report)

    def _attempt(self, what: str, act: Callable[[], object]) -> bool:
        try:
            act()
        except PortError as error:
            self.errors.append((what, error))
            return False
        return True

    def _append_journal(self) -> None:
        if self.records:
            self.ports.journal.append(self.records)

    def _save_fleet(self) -> None:
        """Keep the fleet's record; a lost race is stepped again from the winner's."""
        policy = self.policies.default
        decisions = tuple(self.decisions)
        for _ in range(SAVE_ATTEMPTS_FLEET):
            fleet = fleet_step(self.fleet, decisions, policy, at_s=self.now_s)
            if fleet == self.fleet:
                return
            data = encode_fleet(fleet)
            try:
                saved = self.ports.checkpoints.save(
                    FLEET_KEY,
                    data,
                    expected_version=self.fleet_version,
                    write_id=short_hash(data + repr(self.now_s).encode()),
                    stamp_s=self.now_s,
                    now_s=self.now_s,
                )
            except PortError as error:
                self.errors.append(("fleet", error))
                return
            if isinstance(saved, Saved):
                return
            self.fleet_version = saved.current.version
            self.fleet = decode_fleet(saved.current.data)


def _silence(name: str, now_s: float) -> Observation:
    return Observation(name, now_s, 60.0, now_s, quality=Quality.MISSING)
