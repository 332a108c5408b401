"""Ports: what the loop needs from the world, and the records that cross.

Adapters do not inherit from these Protocols; a typed assignment beside each
adapter lets the type checker prove that it fits. Every method may raise
PortError (the backend failed; its `retryable` says whether the same call may go
through later) and nothing else. No method may block longer than the adapter's
declared time-out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from flyball.contract import Circuit, Document, TargetParams
from flyball.errors import printable
from flyball_controller.core.model import Hold, Observation


class PortError(Exception):
    """A backend failed. `backend` names it, `retryable` says whether to try again, the cause is chained."""

    def __init__(self, message: str, *, backend: str, retryable: bool) -> None:
        super().__init__(printable(message))
        self.backend = backend
        self.retryable = retryable


class Checkpoint(NamedTuple):
    """One stored state. `version` 0 with empty `data` means: never written."""

    version: int
    data: bytes
    write_id: str = ""


class Saved(NamedTuple):
    """The write went through (now or, after a lost reply, earlier): the new version."""

    version: int


class Conflict(NamedTuple):
    """Somebody else wrote first; `current` is what stands there now."""

    current: Checkpoint


class PublishStatus(NamedTuple):
    """Outcome code and whether the wish must be offered again at the next tick."""

    code: str  # "deployed" | "unchanged" | "in_flight" | "rate_limited" | "held" | "failed"
    pending: bool


class PublishReport(NamedTuple):
    """What became of a wish to change the configuration document."""

    status: PublishStatus
    revision: int  # newest revision known to be deployed or in flight; 0 = none
    detail: str
    found_edited: tuple[str, ...] = ()  # targets that somebody else was found to have changed, just now
    kept_edited: tuple[str, ...] = ()  # all targets whose parameters are left to whoever changed them


class Sensor(Protocol):
    """Reads metrics. Missing minutes are absent from the answer, never zero."""

    def read(
        self, targets: Sequence[str], *, since_s: Mapping[str, float], now_s: float
    ) -> Mapping[str, tuple[Observation, ...]]:
        """Return complete windows that start after `since_s[target]`, oldest first."""
        ...

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return up to `days` of past windows, oldest first, at the finest retained period."""
        ...


class Checkpoints(Protocol):
    """Versioned, conditional storage of one packed state per key."""

    def load(self, keys: Sequence[str]) -> Mapping[str, Checkpoint]:
        """Return one checkpoint per key, strongly consistent; absent keys get version 0."""
        ...

    def save(
        self, key: str, data: bytes, *, expected_version: int, write_id: str, stamp_s: float, now_s: float
    ) -> Saved | Conflict:
        """Write version expected_version + 1 if expected_version stands; know an own lost reply."""
        ...


class Circuits(Protocol):
    """The published circuit items that clients read."""

    def publish(self, circuit: Circuit) -> bool:
        """Write if `circuit.version` is higher than what stands there; True if ours stands now."""
        ...

    def read(self, target: str, function: str = "*") -> Circuit | None:
        """Return the item, or None if there never was one."""
        ...


class Holds(Protocol):
    """Operators' overrides, one per target."""

    def active(self, targets: Sequence[str]) -> Mapping[str, Hold]:
        """Return the stored hold of each target that has one, expired ones included."""
        ...

    def put(self, target: str, hold: Hold, *, now_s: float) -> None:
        """Store an override; the newest wins."""
        ...


class ConfigPublisher(Protocol):
    """Deploys the configuration document; coalesces, limits and reconciles."""

    def current(self) -> Document | None:
        """Return the newest document known to be deployed or in flight, None if there is none."""
        ...

    def publish(
        self, params: Mapping[str, TargetParams], *, urgent: bool, policy_hash: str, now_s: float
    ) -> PublishReport:
        """Merge the wished parameters into the document; deploy it if it changes and may be deployed now."""
        ...


class Journal(Protocol):
    """Append-only record of decisions."""

    def append(self, records: Sequence[Mapping[str, object]]) -> None:
        """Store the records; one already stored (same target and sequence) is not an error."""
        ...


class Clock(Protocol):
    """Wall time."""

    def now_s(self) -> float:
        """Return epoch seconds."""
        ...
