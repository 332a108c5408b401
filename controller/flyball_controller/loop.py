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

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from flyball.contract import Circuit, CircuitState, TargetParams
from flyball_controller.check_book import read_rows
from flyball_controller.codec import decode_state, encode_state, short_hash
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.model import Decision, Hold, Mode, Observation, Quality
from flyball_controller.core.state import State, initial_state, nominal_setpoint
from flyball_controller.core.step import step
from flyball_controller.fleet_book import FleetBook
from flyball_controller.news import is_news, is_refused
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Checkpoint, Conflict, PortError, Saved
from flyball_controller.publication import backfill, circuits_of, to_params
from flyball_controller.round_records import (
    Ports,
    Remembered,
    RunReport,
    Stepped,
    Trigger,
    fault_of,
    reset_record,
    step_record,
)

__all__ = ["Ports", "Remembered", "RunReport", "Trigger", "run_once"]

CHECKPOINT_EVERY_S = 900.0
CONFLICTS_MAX = 5  # then the event is not acknowledged (P8)
BACKFILL_DAYS = 14  # two weeks: every hour of the week twice
# Histories read in one round. One is two calls of 100,000 points: even at 5 s a call these take less than the
# minute a tick has. A fleet whose first tick never came to its end would never save a state.
HISTORIES_MAX = 5


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
    fleet: Collection[str] | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    histories_max: int = HISTORIES_MAX,
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
        fleet: All targets that there are; None = not known, and as many as in this round.
        checkpoint_every_s: Longest time that a nominal state may stay unsaved.
        histories_max: How many new targets learn their past in this round. The others are decided from
            their newest windows, and while they are nominal their turn is still to come.
    """
    names = sorted(set(targets))
    book = FleetBook(policies, now_s=now_s, fleet=fleet, size=len(names))
    rounds = _Rounds(ports, policies, now_s, trigger, given or {}, cache, checkpoint_every_s, book)
    rounds.histories_left = histories_max
    rounds.begin(names, sole_writer=sole_writer)
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
        fleet: FleetBook,
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
        self.fleet = fleet
        self.reread: set[str] = set()  # their state came from the store: what was published is unknown
        self.failed: set[str] = set()
        self.histories_left = HISTORIES_MAX
        self.unlearned: set[str] = set()  # new ones whose history nobody has read yet
        self.resets: dict[str, dict[str, object]] = {}  # records of states that could not be read

    # --- reading, once for all targets ---------------------------------------------------

    def begin(self, names: Sequence[str], *, sole_writer: bool) -> None:
        """Read checkpoints, holds, the fleet's records and new metrics."""
        cached = self.cache or {}
        self.known = {name: cached[name] for name in names if name in cached}
        unknown = [name for name in names if name not in self.known or not sole_writer]
        # Another one is the first in each minute, or one without answer would keep the others waiting.
        turn = int(self.now_s // 60.0) % max(1, len(unknown))
        unknown = [*unknown[turn:], *unknown[:turn]]
        try:
            stored = self.ports.checkpoints.load([*unknown, *self.fleet.keys])
        except PortError as error:
            self._fail(names, error)
            return
        self.fleet.read(stored)
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
        self.unlearned.discard(name)
        self.resets.pop(name, None)
        if stored.version > 0:
            try:
                return Remembered(stored.version, decode_state(stored.data), self.now_s)
            except CheckpointError as error:
                self.resets[name] = reset_record(name, str(error), at_s=self.now_s, trigger=self.trigger)
        return Remembered(stored.version, self._fresh(name), -1.0)

    def _fresh(self, name: str) -> State:
        """Return a state with weeks of history learned: a new target is sharp from its first minute."""
        policy = self.policies.for_target(name)
        state = initial_state(policy)
        if self.histories_left > 0:
            self.histories_left -= 1
            try:
                # The newest minutes are left for the steps: a target may be down when it is first seen.
                until_s = self.now_s - policy.act_within_s
                history = self.ports.sensor.history(name, until_s=until_s, days=BACKFILL_DAYS)
                return backfill(state, history, policy, now_s=self.now_s)
            except PortError as error:
                self.errors.append((name, error))
                if not error.retryable:
                    return state
                self.histories_left = 0  # it is not the hour to ask for more
        self.unlearned.add(name)
        # As far back as a cold start goes otherwise: three hours of a whole fleet, each minute, are too much.
        return state._replace(stamp_s=self.now_s - CHECKPOINT_EVERY_S)

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

    def _step_all(self, name: str, state: State) -> Stepped:
        """Step every new window in order; with none, let time pass in one MISSING step."""
        policy = self.policies.for_target(name)
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
            # A look without data says nothing that the fleet's verdict is about: `earlier` keeps that of the
            # newest window, or nobody could tell whether what it said was said before.
            earlier = before = state
            if seen.quality != Quality.MISSING:
                before = self.fleet.judge(state, policy, target=name)
            after, decision = step(before, seen, policy)
            if seen.quality == Quality.PROBED and not decision.changed:
                continue  # checks that move nothing leave no trace
            state = after
            decisions.append(decision)
            if is_news(decision, earlier, policy, held=held):
                shadow = policy.mode == Mode.SHADOW
                record = step_record(decision, seen, before, state, trigger=self.trigger, shadow=shadow)
                records.append(record)
            held = held and is_refused(decision)
        return Stepped(state, tuple(decisions), tuple(records))

    def _hold_lapsed(self, state: State) -> bool:
        forced = state.law.applied.circuit in (CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED)
        return forced and self.now_s >= state.hold.until_s

    def _must_save(self, known: Remembered, outcome: Stepped, name: str) -> bool:
        """Save at once what changed or is off nominal; let nominal learning wait for its cadence."""
        policy = self.policies.for_target(name)
        if outcome.state == known.state:
            return False
        off = outcome.state.law.applied != nominal_setpoint(policy) or outcome.state.law.off_since_s >= 0.0
        late = known.saved_s < 0.0 or self.now_s - known.saved_s >= self.checkpoint_every_s
        due = (late or self.cache is None) and name not in self.unlearned  # saved, it would never learn
        return off or outcome.moved or due or outcome.state.hold != known.state.hold

    def _accept(self, name: str, version: int, saved_s: float, outcome: Stepped, *, saved: bool) -> None:
        remembered = Remembered(version, outcome.state, saved_s)
        self.known[name] = remembered
        if saved or name not in self.unlearned:  # else it is as new in the next round, and says the same
            if self.cache is not None:
                self.cache[name] = remembered
            self.records.extend([self.resets[name]] if name in self.resets else ())
            self.records.extend(outcome.records)
        self.decisions.extend(outcome.decisions)
        policy = self.policies.for_target(name)
        self.fleet.note(outcome.decisions, policy)
        if policy.mode != Mode.ACTIVE:
            return
        applied = outcome.state.law.applied
        canary = self.policies.canary_functions(name)
        self.wishes[name] = to_params(nominal_setpoint(policy) if canary else applied, policy)
        self.urgent = self.urgent or any(
            decision.changed and decision.urgent for decision in outcome.decisions
        )
        # A state fresh from the store may never have been published (a crash, a lost reply): offer it
        # again. The store's condition on the version makes that harmless.
        unsure = name in self.reread and outcome.state.law.changed_s >= 0.0
        if version > 0 and (outcome.moved or unsure or (saved and applied != nominal_setpoint(policy))):
            items = circuits_of(name, outcome.state, outcome.decisions[-1], version, canary)
            self.circuits.extend((name, item) for item in items)

    # --- acting ---------------------------------------------------------------------------

    def finish(self) -> RunReport:
        """Save the fleet's records, then journal, circuits and configuration, in this order."""
        self.errors.extend(("fleet", error) for error in self.fleet.save(self.ports.checkpoints))
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


def _silence(name: str, now_s: float) -> Observation:
    return Observation(name, now_s, 60.0, now_s, quality=Quality.MISSING)
