"""See what guarded calls did: attempts, waits, rejections, metrics. For tests; part of `flyball.testing`.

It listens where the guards and the fast loop meet (`Target.begin`,
`Call.finish`, `Call.abandon`), and only while somebody does: the methods are
exchanged when the first block is entered and come back when the last is left.
Meanwhile no target is quiet, so that no guard passes by them.
"""

from __future__ import annotations

import json
from _thread import allocate_lock
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from flyball.call import Call, Target
from flyball.document import shown
from flyball.environment import Runtime
from flyball.errors import SettingsError
from flyball.faults import METRIC as FAULTS
from flyball.guard import runtime
from flyball.layers import layer
from flyball.outcome import Outcome, Rejected, RejectReason
from flyball.telemetry import COUNT_METRICS, LATENCY


class Attempt(NamedTuple):
    """How an attempt ended; `wait_s` seconds before the next one, None if it was the last."""

    outcome: Outcome
    latency_ms: float
    wait_s: float | None


class CapturedCall(NamedTuple):
    """A call that was made. No attempts: it is under way, or was interrupted in its first."""

    target: str
    attempts: list[Attempt]


class CapturedRejection(NamedTuple):
    """A call that was not made."""

    target: str
    reason: RejectReason
    retry_after_s: float


class Captured:
    """What happened inside a `capture` block, oldest first."""

    def __init__(self, within: Runtime) -> None:
        self._within = within
        self._under_way: dict[int, tuple[Call, CapturedCall]] = {}
        self.calls: list[CapturedCall] = []
        self.rejections: list[CapturedRejection] = []
        self.lines: list[str] = []  # of metrics; complete once the block is left

    @property
    def attempts(self) -> list[Attempt]:
        """All attempts that ended, of all calls."""
        return [attempt for call in self.calls for attempt in call.attempts]

    @property
    def retries(self) -> int:
        """Attempts that were begun again."""
        return sum(attempt.wait_s is not None for attempt in self.attempts)

    def metric(self, name: str, target: str | None = None) -> float:
        """Return the sum of a metric over the lines written so far; 0 if it is in none.

        Args:
            name: As in docs/reference/client.md, for instance "retries".
            target: Only lines of this target; None = all.

        Raises:
            SettingsError: There is no such metric: its sum would be 0, whatever happened.
        """
        if name not in _METRICS:
            from flyball.hints import did_you_mean

            hint = did_you_mean(name, _METRICS, listing="there are")
            raise SettingsError(f"name={shown(name)} is no metric{hint}", field="name")
        total = 0.0
        for line in self.lines:
            document = json.loads(line)
            if target in (None, document["target"]):
                value = document.get(name, 0)
                total += sum(value) if isinstance(value, list) else value
        return total

    # --- for the exchanged methods ----------------------------------------------------

    def _began(self, target: Target, call: Call | Rejected) -> None:
        if self._within.targets.get(target.name) is not target:
            return
        if isinstance(call, Rejected):
            self.rejections.append(CapturedRejection(target.name, call.reason, call.retry_after_s))
            return
        captured = CapturedCall(target.name, [])
        self.calls.append(captured)
        self._under_way[id(call)] = call, captured  # the call too: its id must not be given to another

    def _ended(self, call: Call, attempt: Attempt) -> None:
        _, captured = self._under_way.get(id(call), (None, None))
        if captured is not None:
            captured.attempts.append(attempt)
            if attempt.wait_s is None:
                self._abandoned(call)

    def _abandoned(self, call: Call) -> None:
        self._under_way.pop(id(call), None)


_METRICS = (*COUNT_METRICS, LATENCY, FAULTS)
_lock = allocate_lock()
_listening: tuple[Captured, ...] = ()
_begin, _finish, _abandon = Target.begin, Call.finish, Call.abandon
_quiet_until_s: Any = Target.__dict__["quiet_until_s"]  # the slot
_never_quiet = property(lambda _target: float("-inf"), _quiet_until_s.__set__)


def _heard_begin(target: Target, *args: Any, **kwargs: Any) -> Call | Rejected:
    call = _begin(target, *args, **kwargs)
    for captured in _listening:
        captured._began(target, call)
    return call


def _heard_finish(call: Call, outcome: Outcome, **kwargs: Any) -> float | None:
    wait_s = _finish(call, outcome, **kwargs)
    for captured in _listening:
        captured._ended(call, Attempt(outcome, kwargs["latency_ms"], wait_s))
    return wait_s


def _heard_abandon(call: Call) -> None:
    _abandon(call)
    for captured in _listening:
        captured._abandoned(call)


def _listen(listening: tuple[Captured, ...]) -> None:
    global _listening  # noqa: PLW0603 - who listens is a fact of the process
    _listening = listening
    for owner, name, plain, heard in (
        (Target, "begin", _begin, _heard_begin),
        (Call, "finish", _finish, _heard_finish),
        (Call, "abandon", _abandon, _heard_abandon),
        (Target, "quiet_until_s", _quiet_until_s, _never_quiet),
    ):
        setattr(owner, name, heard if listening else plain)


@contextmanager
def capture(*, within: Runtime | None = None) -> Iterator[Captured]:
    """Record what calls do inside the `with` block; metric lines go to the record alone.

    Lines written before and after do not mix with it: both ends flush.

        with capture() as captured:
            quote("o-1")
        assert captured.metric("retries") == 0
    """
    shared = runtime() if within is None else within
    captured = Captured(shared)

    def write(line: str) -> None:
        for listener in _listening:
            if listener._within is shared:
                listener.lines.append(line)

    def put_on() -> None:
        shared._flush_write = write

    shared.flush()
    with layer(shared, put_on):
        with _lock:
            _listen((*_listening, captured))
        try:
            yield captured
        finally:
            shared.flush()
            with _lock:
                _listen(tuple(other for other in _listening if other is not captured))
