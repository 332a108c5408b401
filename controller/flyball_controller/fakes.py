"""In-memory ports: for tests, notebooks and tutorials. Public, and honest about conflicts and failures.

Each keeps the laws of the port it stands for: conditional saves conflict,
circuit versions only rise, absent minutes stay absent. `fail_next` makes the
next calls raise PortError, with or without their effect (a lost reply).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flyball.contract import FLEET, Circuit, Document, TargetParams
from flyball_controller.core.model import Hold, Observation
from flyball_controller.ports import (
    Checkpoint,
    Checkpoints,
    Circuits,
    Clock,
    ConfigPublisher,
    Conflict,
    Holds,
    Journal,
    PortError,
    PublishReport,
    PublishStatus,
    Saved,
    Sensor,
)
from flyball_controller.round_records import Ports


class _Failing:
    """Failures on demand."""

    def __init__(self) -> None:
        self._failures: list[bool] = []

    def fail_next(self, times: int = 1, *, after_effect: bool = False) -> None:
        """Make the next calls raise a retryable PortError, before or after they took effect."""
        self._failures.extend([after_effect] * times)

    def _before(self) -> None:
        if self._failures and not self._failures[0]:
            self._failures.pop(0)
            raise PortError("made to fail", backend=type(self).__name__, retryable=True)

    def _after(self) -> None:
        if self._failures and self._failures[0]:
            self._failures.pop(0)
            raise PortError("reply lost", backend=type(self).__name__, retryable=True)


class MemoryCheckpoints(_Failing):
    """Versioned states in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, Checkpoint] = {}
        self.saves = 0

    def load(self, keys: Sequence[str]) -> Mapping[str, Checkpoint]:
        """Return one checkpoint per key; version 0 where there is none."""
        self._before()
        return {key: self.items.get(key, Checkpoint(0, b"")) for key in keys}

    def save(
        self, key: str, data: bytes, *, expected_version: int, write_id: str, stamp_s: float, now_s: float
    ) -> Saved | Conflict:
        """Write if `expected_version` still stands; an own earlier write counts as success."""
        self._before()
        current = self.items.get(key, Checkpoint(0, b""))
        if current.version != expected_version:
            if current.version == expected_version + 1 and current.write_id == write_id:
                return Saved(current.version)
            return Conflict(current)
        self.items[key] = Checkpoint(expected_version + 1, data, write_id)
        self.saves += 1
        self._after()
        return Saved(expected_version + 1)


class MemoryCircuits(_Failing):
    """Circuit items in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], Circuit] = {}
        self.writes: list[Circuit] = []

    def publish(self, circuit: Circuit) -> bool:
        """Write if the version is higher than what stands there."""
        self._before()
        key = (circuit.target, circuit.function)
        current = self.items.get(key)
        if current is not None and current.version >= circuit.version:
            return current.version == circuit.version and current.write_id == circuit.write_id
        self.items[key] = circuit
        self.writes.append(circuit)
        self._after()
        return True

    def read(self, target: str, function: str = FLEET) -> Circuit | None:
        """Return the item, None if there never was one."""
        self._before()
        return self.items.get((target, function))


class MemoryHolds(_Failing):
    """Operators' overrides in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, Hold] = {}
        self._put_at_s: dict[str, float] = {}

    def active(self, targets: Sequence[str]) -> Mapping[str, Hold]:
        """Return the hold of each target that has one."""
        self._before()
        return {target: self.items[target] for target in targets if target in self.items}

    def put(self, target: str, hold: Hold, *, now_s: float) -> None:
        """Store an override unless a newer one stands."""
        self._before()
        if self._put_at_s.get(target, now_s) <= now_s:
            self.items[target] = hold
            self._put_at_s[target] = now_s
        self._after()


class MemoryJournal(_Failing):
    """Records in a list; a repeated (target, at, sequence) is kept once."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, object]] = []
        self._seen: set[tuple[object, object, object]] = set()

    def append(self, records: Sequence[Mapping[str, object]]) -> None:
        """Store the records."""
        self._before()
        for record in records:
            key = (record["target"], record["at_s"], record["sequence"])
            if key not in self._seen:
                self._seen.add(key)
                self.records.append(dict(record))
        self._after()


class MemoryPublisher(_Failing):
    """A configuration document in memory: deploys at once whatever changes."""

    def __init__(self) -> None:
        super().__init__()
        self.document: Document | None = None
        self.deployments: list[tuple[float, bool, Document]] = []

    def current(self) -> Document | None:
        """Return the newest document."""
        return self.document

    def publish(
        self, params: Mapping[str, TargetParams], *, urgent: bool, policy_hash: str, now_s: float
    ) -> PublishReport:
        """Merge and deploy if anything differs."""
        self._before()
        old = dict(self.document.targets) if self.document else {}
        revision = self.document.revision if self.document else 0
        merged = {**old, **params}
        if self.document is not None and merged == old and self.document.policy_hash == policy_hash:
            return PublishReport(PublishStatus("unchanged", False), revision, "nothing differs")
        self.document = Document(revision + 1, f"t={now_s:g}", policy_hash, merged)
        self.deployments.append((now_s, urgent, self.document))
        self._after()
        return PublishReport(PublishStatus("deployed", False), revision + 1, "stored in memory")


class ScriptedSensor(_Failing):
    """Windows given in advance; each becomes visible at its `arrived_s`."""

    def __init__(self, windows: Sequence[Observation] = (), past: Sequence[Observation] = ()) -> None:
        super().__init__()
        self.windows = list(windows)
        self.past = list(past)

    def read(
        self, targets: Sequence[str], *, since_s: Mapping[str, float], now_s: float
    ) -> Mapping[str, tuple[Observation, ...]]:
        """Return windows that have arrived by `now_s` and start after `since_s`."""
        self._before()
        found: dict[str, tuple[Observation, ...]] = {}
        for target in targets:
            due = [
                w
                for w in self.windows
                if w.target == target and w.arrived_s <= now_s and w.start_s > since_s.get(target, -1.0)
            ]
            if due:
                found[target] = tuple(sorted(due, key=lambda w: w.start_s))
        return found

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return the scripted past of a target."""
        self._before()
        first_s = until_s - days * 86_400.0
        return tuple(w for w in self.past if w.target == target and first_s <= w.start_s < until_s)


def memory_ports(windows: Sequence[Observation] = (), past: Sequence[Observation] = ()) -> Ports:
    """Return all that a round needs, in memory and empty but for what the sensor is to show.

    Args:
        windows: Seen by rounds, each from its `arrived_s` on.
        past: What a target's history holds when it is first met.

    >>> memory_ports().publisher.current() is None
    True
    """
    return Ports(
        ScriptedSensor(windows, past),
        MemoryCheckpoints(),
        MemoryCircuits(),
        MemoryHolds(),
        MemoryPublisher(),
        MemoryJournal(),
    )


class ManualClock:
    """A clock that stands still until it is told."""

    def __init__(self, now_s: float = 0.0) -> None:
        self._now_s = now_s

    def now_s(self) -> float:
        """Return the time it was set to."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds


# The type checker proves here that each fake fits its port.
_checkpoints: type[Checkpoints] = MemoryCheckpoints
_circuits: type[Circuits] = MemoryCircuits
_holds: type[Holds] = MemoryHolds
_journal: type[Journal] = MemoryJournal
_publisher: type[ConfigPublisher] = MemoryPublisher
_sensor: type[Sensor] = ScriptedSensor
_clock: type[Clock] = ManualClock
