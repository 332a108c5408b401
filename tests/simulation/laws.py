"""The judge: every law that a simulated run must keep, checked at the moment at which it could be broken.

Labels are those of docs/reference/invariants.md. The judge sees each write to a
store, each answer that a controller was given, each deployment, and each call
of each environment. It keeps its own books and shares no rule with the code it
judges: a law is stated from what was written and when.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flyball.contract import BOUNDS, FLEET, Circuit, CircuitState, Document, decode_circuit
from flyball.errors import ContractError
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.guardrails import hold_is_active
from flyball_controller.core.model import Mode, Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State
from flyball_controller.policy_set import PolicySet
from flyball_controller.ports import Conflict, Saved
from simulation.config_laws import POINTER, RECORD, ConfigBooks
from simulation.dynamo import Item, Tables
from simulation.speed import state_of as decode_state

SKEW_S = 2.0  # declared bound on the error of a controller's clock


class Violation(NamedTuple):
    """A law that was broken, when, and how it showed."""

    law: str
    at_s: float
    what: str


class Actor(NamedTuple):
    """Who makes the calls now, under which policy; `over`: the content that a person's plan saw."""

    policies: PolicySet
    person: bool = False
    over: str = ""


class Judge:
    """Books over one run."""

    def __init__(self, policies: PolicySet) -> None:
        self.actor = Actor(policies)
        self.configuration = ConfigBooks(self, policies)
        self.content_of: Callable[[Any], bytes] | None = None  # of a hosted version
        self.tables: Tables | None = None
        self.now_s = 0.0
        self.violations: list[Violation] = []
        self.reached: Counter[str] = Counter()
        self.states: dict[tuple[str, int], State | None] = {}  # as stored, by key and version
        self.damaged: set[str] = set()  # keys whose bytes were damaged since their last good write
        # Every circuit that can be read, and until when it holds.
        self.written: dict[tuple[str, str, int, CircuitState], float] = {}
        self.told: Callable[[str, str, int, Item, Saved | Conflict], object] = lambda *_: None
        self.alien = False  # a write of the simulation's own: damage, an operator, an attacker

    def accuse(self, law: str, what: str) -> None:
        """Note a broken law."""
        self.violations.append(Violation(law, self.now_s, what))

    def policy_of(self, target: str) -> Policy:
        """Return what who acts now obeys for a target."""
        policies = self.actor.policies
        return policies.targets.get(target, policies.default)

    # --- stores ---------------------------------------------------------------------------

    def see_write(self, table: str, key: tuple[str, ...], before: Item, after: Item) -> None:
        """Judge one successful write."""
        if table == "circuits":
            try:
                circuit = decode_circuit(after)
            except ContractError:
                return  # damaged by the schedule
            key_of = (circuit.target, circuit.function, circuit.version, circuit.state)
            self.written[key_of] = max(circuit.valid_until, self.written.get(key_of, 0.0))
            if not self.alien:
                self._see_circuit(key, before, circuit)
        elif table == "states" and not self.alien:
            self._see_state(key[0], before, after)

    def _see_state(self, key: str, before: Item, after: Item) -> None:
        old, new = _version(before), _version(after)
        if new != old + 1:
            self.accuse("P1", f"state of {key}: version {old} was followed by {new}")
        if key == RECORD:
            self.configuration.see_record(after)
        elif key == POINTER:
            self.configuration.see_pointer(after)
        if key.startswith("#"):
            return
        state = decode_state(after["b"]["B"])
        was = self._standing_state(before)
        self.states[key, new] = state
        if was is not None and key not in self.damaged:
            if state.stamp_s < was.stamp_s:
                self.accuse("P2", f"state of {key}: stamp {was.stamp_s} was followed by {state.stamp_s}")
            # A hold or the fleet's verdict may be noted without a step; all else needs one.
            noted = was._replace(
                hold=state.hold,
                open_allowed=state.open_allowed,
                loosen_frozen_until_s=state.loosen_frozen_until_s,
            )
            if state.sequence <= was.sequence and state != noted:
                self.accuse("P5", f"state of {key}: step {was.sequence} was followed by {state.sequence}")
        if key in self.damaged:
            self.reached["damaged checkpoint replaced"] += 1
        self.damaged.discard(key)
        self._bounds(key, state, self.policy_of(key), stepped=was is None or state.sequence > was.sequence)

    def _standing_state(self, item: Item) -> State | None:
        try:
            return decode_state(item["b"]["B"]) if item else None
        except CheckpointError:
            return None

    def _bounds(self, key: str, state: State, policy: Policy, *, stepped: bool) -> None:
        applied = state.law.applied
        good = (
            min(1, policy.attempts_min) <= applied.max_attempts <= policy.attempts_nominal
            and 0.0 <= applied.budget_ratio <= BOUNDS["retry"]["budget_ratio"][1]  # partial failure raises it
            and 0.0 < applied.probe_ratio <= 1.0
            and applied.close_after >= 1
        )
        if stepped and not good:
            self.accuse("C4", f"state of {key}: {applied} is outside of its bounds")
        forced = applied.circuit in (CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED)
        # Without a step (a round that slept found its look too late) the next look settles it.
        if forced and stepped and not hold_is_active(state.hold, state.seen_s):
            self.accuse("O1", f"state of {key}: {applied.circuit.name} without a hold that is in force")
        if state.valid_until_s > self.now_s + self.configuration.longest_s(key) + SKEW_S:
            self.accuse("P6", f"state of {key}: valid {state.valid_until_s - self.now_s} s ahead")

    def _see_circuit(self, key: tuple[str, ...], before: Item, circuit: Circuit) -> None:
        target = key[0]
        was = _version(before)
        if circuit.version <= was:
            self.accuse("P1", f"circuit of {key}: version {was} was followed by {circuit.version}")
        policy = self.policy_of(target)
        if policy.mode != Mode.ACTIVE:
            self.accuse("O3", f"circuit of {key} published in {policy.mode.name}")
        if circuit.valid_until > self.now_s + self.configuration.longest_s(target) + SKEW_S:
            self.accuse("P6", f"circuit of {key}: valid {circuit.valid_until - self.now_s} s ahead")
        state = self.states.get((target, circuit.version))
        if state is None:
            self.accuse("E5", f"circuit of {key}, version {circuit.version}: no such state was saved")
            return
        stored = state.law.applied.circuit
        others = bool(self.actor.policies.canaries.get(target)) and key[1] == FLEET
        if others and stored not in (CircuitState.FORCED_OPEN, CircuitState.FORCED_CLOSED):
            stored = CircuitState.CLOSED  # a canary's trial is its functions' alone
        if circuit.state != stored:
            stands = f"{circuit.state.name}, not {stored.name}"
            self.accuse("E5", f"circuit of {key}, version {circuit.version}: {stands}")

    def see_save(self, key: str, write_id: str, expected: int, outcome: Saved | Conflict) -> None:
        """Judge what a controller was told of its write (P4, P9)."""
        assert self.tables is not None
        past = self.tables.pasts["states"].get((key,), [])
        self.told(key, write_id, expected, past[-1] if past else {}, outcome)
        ids = [item.get("write_id", {}).get("S") for item in past]
        if isinstance(outcome, Saved):
            mine = [_version(item) for item, who in zip(past, ids, strict=True) if who == write_id]
            if outcome.version != expected + 1 or outcome.version not in mine:
                self.accuse("P9", f"{key}: told that {expected + 1} was saved, which it was not")
        elif past and ids[-1] == write_id and _version(past[-1]) == expected + 1:
            self.accuse("P4", f"{key}: own write of {expected + 1} stands, and was taken for another's")
        else:
            self.reached["lost race decided again"] += 1

    def see_records(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Judge what a round writes of its steps: checks of our own never tighten (C14)."""
        for record in records:
            if record.get("observation", {}).get("quality") != Quality.PROBED.name:
                continue
            if record["urgent"]:
                self.accuse("C14", f"{record['target']}: tightened by checks to {record['applied']}")
            self.reached["checks loosened"] += 1


def _version(item: Item) -> int:
    return int(float(item.get("version", {}).get("N", 0)))


class ClientBooks:
    """What one environment was shown and what it did: the laws of the client."""

    def __init__(self, judge: Judge, name: str) -> None:
        self._judge = judge
        self._name = name
        self._versions: dict[tuple[str, str], int] = {}
        self._revision: dict[str, tuple[int, int]] = {}
        self._read: tuple[float, float, bool] | None = None  # wall, monotonic, answered
        self._params: dict[str, Any] = {}  # looked at last

    def forget(self) -> None:
        """The environment is a new one, or a copy."""
        self._versions.clear()
        self._revision.clear()
        self._read = None

    def expect_read(self) -> None:
        """A new target was declared: a read is due at once."""
        self._read = None

    def see_read(self, wall_s: float, monotonic_s: float, *, answered: bool) -> None:
        """Judge one read of the circuits: not more often than allowed (K3, K5)."""
        if self._read is not None:
            ago_s, ago_monotonic_s = wall_s - self._read[0], monotonic_s - self._read[1]
            least_s = 5.0 if self._read[2] else 1.0
            if 0.0 <= ago_s < least_s and ago_monotonic_s < least_s:
                law = "K5" if self._read[2] else "K3"
                self._judge.accuse(law, f"{self._name}: read again after {ago_s} s, at least {least_s}")
        self._read = (wall_s, monotonic_s, answered)

    def see_call(self, wall_s: float, monotonic_s: float) -> None:
        """Judge how old what a call obeys may be: the read must be recent on both clocks (K1, K6)."""
        if self._read is None:
            self._judge.accuse("K1", f"{self._name}: a call without any read")
            return
        ago_s, ago_monotonic_s = wall_s - self._read[0], monotonic_s - self._read[1]
        most_s = 5.5 if self._read[2] else 66.0
        if not (0.0 <= ago_s <= most_s and ago_monotonic_s <= most_s):
            self._judge.accuse("K6", f"{self._name}: the last read is {ago_s} s old, {ago_monotonic_s} s")

    def see_circuits(self, items: list[Circuit | None]) -> None:
        """Judge the versions that a breaker holds: they never go back (K2)."""
        for item in items:
            if item is None:
                continue
            key = (item.target, item.function)
            if item.version < self._versions.get(key, 0):
                self._judge.accuse("K2", f"{self._name}: circuit of {key} went back to {item.version}")
            self._versions[key] = item.version

    def see_enforced(self, item: Circuit | None, state: CircuitState, wall_s: float) -> None:
        """Judge a published gate: it was written, with that state, and is not over (K4, P6)."""
        if item is None:
            self._judge.accuse("K4", f"{self._name}: {state.name} from nothing")
            return
        until_s = self.written_until_s(item, state)
        if until_s < 0.0:
            self._judge.accuse("K4", f"{self._name}: {state.name}, version {item.version}, was never written")
        elif wall_s >= until_s:
            self._judge.accuse("P6", f"{self._name}: {state.name} {wall_s - until_s} s after its end")

    def written_until_s(self, item: Circuit, state: CircuitState) -> float:
        """Return until when the item holds as it was written, -1 if it never was."""
        return self._judge.written.get((item.target, item.function, item.version, state), -1.0)

    def see_document(self, target: str, revision: int, withdrawn: int, held: Document | None) -> None:
        """Judge the revision that a target obeys: back only by AppConfig's own word (K2, A3)."""
        before, _ = self._revision.get(target, (-1, -1))
        if revision < before and before > withdrawn:
            self._judge.accuse("K2", f"{self._name}: {target} went back from revision {before} to {revision}")
        if held is None and revision >= 0:
            self._judge.accuse("K4", f"{self._name}: revision {revision} of no document")
        self._revision[target] = (revision, withdrawn)

    def see_params(self, target: str, params: Any) -> None:
        """Judge every number that a call obeys: inside the client's own bounds (K10)."""
        if self._params.get(target) is params:
            return
        self._params[target] = params
        for section, fields in BOUNDS.items():
            for field, (low, high) in fields.items():
                value = getattr(getattr(params, section), field)
                if not low <= value <= high:
                    self._judge.accuse("K10", f"{self._name}: {target} {section}.{field}={value}")
