"""Records around one round of control: what it needs, why it runs, what it did."""

from __future__ import annotations

from typing import NamedTuple

from flyball_controller.codec import encode_state, journal_record
from flyball_controller.core.model import Decision, Observation, Reason
from flyball_controller.core.state import State
from flyball_controller.ports import (
    Checkpoints,
    Circuits,
    ConfigPublisher,
    Holds,
    Journal,
    PortError,
    PublishReport,
    Sensor,
)


class Ports(NamedTuple):
    """Everything a round needs of the world."""

    sensor: Sensor
    checkpoints: Checkpoints
    circuits: Circuits
    holds: Holds
    publisher: ConfigPublisher
    journal: Journal


class Trigger(NamedTuple):
    """Why this round runs: 'alarm', 'stream', 'tick', 'override', 'replay'; and its dedupe key or id."""

    kind: str
    detail: str


class Remembered(NamedTuple):
    """A state this process knows, and the stored version it grew from."""

    version: int
    state: State
    saved_s: float


class Stepped(NamedTuple):
    """What one target's steps of a round came to."""

    state: State
    decisions: tuple[Decision, ...]
    records: tuple[dict[str, object], ...]

    @property
    def moved(self) -> bool:
        """Whether any step changed the setpoint."""
        return any(decision.changed for decision in self.decisions)


class RunReport(NamedTuple):
    """What a round did. `errors` are backend failures by target; `conflicts` counts lost races."""

    decisions: tuple[Decision, ...]
    errors: tuple[tuple[str, PortError], ...]
    conflicts: int
    published: PublishReport | None

    @property
    def retry(self) -> bool:
        """Whether the caller must offer the same event again: something retryable failed."""
        return any(error.retryable for _, error in self.errors)


FAULT = "controller"  # where a fault of our own is, in place of a backend's name


def fault_of(name: str, fault: Exception) -> PortError:
    """Return the error that tells of a fault of ours while one target was looked at.

    Not retryable: the same evidence meets the same fault. The next tick looks again.

    >>> str(fault_of("mail", ZeroDivisionError("division by zero")))
    'mail: ZeroDivisionError: division by zero'
    """
    error = PortError(f"{name}: {type(fault).__name__}: {fault}", backend=FAULT, retryable=False)
    error.__cause__ = fault
    return error


def step_record(
    decision: Decision, seen: Observation, before: State, after: State, *, trigger: Trigger, shadow: bool
) -> dict[str, object]:
    """Return the journal's record of one step: with the state before it, and why the round ran."""
    record = journal_record(
        decision, seen, encode_state(before), encode_state(after), shadow=shadow, with_state=True
    )
    return {**record, "trigger": trigger.kind, "trigger_detail": trigger.detail}


def reset_record(name: str, why: str, *, at_s: float, trigger: Trigger) -> dict[str, object]:
    """Return the journal's record of a checkpoint that could not be read, so that its target began anew."""
    return {
        "schema": 1,
        "target": name,
        "at_s": at_s,
        "sequence": 0,
        "event": Reason.CHECKPOINT_RESET.name,
        "detail": why,
        "trigger": trigger.kind,
    }
