"""Dead letters read back and submitted again, slowly, at least once, and never into an open circuit.

Three parts that know nothing of each other: a source gives slips and removes what
is done, a destination takes letters, the gate says which targets are spared. The
loop over them is `redrive`; it decides the order of effects: submit, then remove.
A crash between the two submits a letter twice, never loses one, so a destination
must be idempotent; the letter carries the key.

Nothing here is in a hurry: a redrive begins when an incident ends, and the whole
backlog at once would be the next one. Terms: docs/glossary.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from random import Random
from typing import NamedTuple, Protocol

from flyball.breaker import NEVER
from flyball.call import Target
from flyball.clock import Clock
from flyball.contract import CircuitState
from flyball.errors import FlyballError
from flyball.letter import Letter, one_line
from flyball.sources import CIRCUIT_AGE_S, CircuitSource
from flyball_controller.ports import PortError

# So many failures one after another are the destination's, not the letters'.
FAILURES_MAX = 5
# States in which a client lets at most probes through: a backlog would only come back as letters.
GATED = frozenset({CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.FORCED_OPEN})


class Slip(NamedTuple):
    """A letter at its place. `letter` is None if `problem` says why there is none."""

    place: str
    letter: Letter | None
    problem: str = ""


class Source(Protocol):
    """Where letters lie."""

    def slips(self) -> Iterator[Slip]:
        """Yield each letter once."""
        ...

    def remove(self, slip: Slip) -> None:
        """Make sure that no later redrive finds it."""
        ...

    def close(self) -> None:
        """Let go of what was read and not removed."""
        ...


class Outcome(StrEnum):
    """What became of a letter."""

    SENT = "sent"
    WOULD_SEND = "would send"
    OPEN = "circuit not closed"
    YOUNG = "too young"
    UNUSABLE = "unusable"
    FAILED = "failed"


# A later redrive will find these again and may send them.
REMAINING = frozenset({Outcome.WOULD_SEND, Outcome.OPEN, Outcome.YOUNG, Outcome.FAILED})


class Result(NamedTuple):
    """One letter and what became of it; `detail` says why, "" if there is nothing to say."""

    slip: Slip
    outcome: Outcome
    detail: str = ""


class Gate:
    """Whether a target's circuit lets letters pass, as a client that starts now would see it.

    Read anew when it is as old as a client's cache: the redrive itself may open it.
    """

    def __init__(self, source: CircuitSource, clock: Clock) -> None:
        """Ask `source`, which does not cache."""
        self._source = source
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, Target]] = {}

    def state(self, name: str, function: str) -> CircuitState:
        """Return the state that a call of target `name` by `function` would meet now.

        Raises:
            PortError: The circuits cannot be read; nothing may be sent blindly.
        """
        now_s = self._clock.wall_s()
        read_s, target = self._known.get((name, function), (-NEVER, Target(name, function=function)))
        if not 0.0 <= now_s - read_s < CIRCUIT_AGE_S:
            try:
                circuits = self._source.read([name], function)
            except FlyballError as error:
                raise PortError(f"circuits: {error}", backend="dynamodb", retryable=True) from error
            for circuit in circuits:
                target.apply_circuit(circuit)
            self._known[name, function] = (now_s, target)
        return target.state(now_s)


class Pace(NamedTuple):
    """At most `rate` letters a second, each pause up to `jitter` times longer, drawn from `random`."""

    rate: float
    jitter: float
    random: Random
    sleep: Callable[[float], object]

    def rest(self) -> None:
        """Wait until the next letter may go: at least 1 / rate seconds, at most (1 + jitter) / rate."""
        self.sleep((1.0 + self.jitter * self.random.random()) / self.rate)


class Plan(NamedTuple):
    """What to do and what to leave. `apply` False decides everything and does nothing."""

    apply: bool
    now_s: float
    older_than_s: float = 0.0
    limit: int | None = None


def redrive(
    source: Source, submit: Callable[[Letter], object], *, plan: Plan, pace: Pace, gate: Gate | None = None
) -> Iterator[Result]:
    """Submit letters and remove what was taken; yields each letter's result as soon as it is known.

    Args:
        source: Left to be closed by the caller.
        submit: Takes a letter, or raises; an Exception leaves the letter where it is.
        plan: Which letters, and whether anything is done at all.
        pace: Kept between two submissions.
        gate: Spares targets whose circuit is not closed; None asks nothing.

    Raises:
        PortError: A backend failed for good (source, circuits, or FAILURES_MAX submissions in a
            row). Letters not yielded before are where they were.
    """
    submitted = failures = 0
    for slip in source.slips():
        verdict = _judge(slip, plan, gate)
        if verdict.outcome is not Outcome.WOULD_SEND:
            yield verdict
            continue
        if plan.apply:
            if submitted + failures:
                pace.rest()
            verdict = _submit(slip, submit)
            failures = failures + 1 if verdict.outcome is Outcome.FAILED else 0
        if verdict.outcome is Outcome.SENT:
            try:
                source.remove(slip)
            except Exception:
                yield verdict._replace(detail="not removed: remove it, or it will be sent again")
                raise
        yield verdict
        if failures == FAILURES_MAX:
            raise PortError(
                f"{FAILURES_MAX} submissions in a row failed, the last with {verdict.detail}",
                backend="the destination",
                retryable=True,
            )
        submitted += verdict.outcome is not Outcome.FAILED
        if submitted == plan.limit:
            return


def _judge(slip: Slip, plan: Plan, gate: Gate | None) -> Result:
    letter = slip.letter
    if letter is None or letter.problem:
        return Result(slip, Outcome.UNUSABLE, slip.problem if letter is None else letter.problem)
    if plan.now_s - letter.first_failed_at < plan.older_than_s:
        return Result(slip, Outcome.YOUNG)
    if gate is not None and letter.target:
        state = gate.state(letter.target, letter.function)
        if state in GATED:
            return Result(slip, Outcome.OPEN, state.name.lower())
    return Result(slip, Outcome.WOULD_SEND)


def _submit(slip: Slip, submit: Callable[[Letter], object]) -> Result:
    assert slip.letter is not None  # noqa: S101 - judged before
    try:
        submit(slip.letter)
    except PortError as error:
        if not error.retryable:  # wrong name, no permission: it will not be better for the next one
            raise
        return Result(slip, Outcome.FAILED, str(error))
    except Exception as error:  # noqa: BLE001 - the user's function
        return Result(slip, Outcome.FAILED, f"{type(error).__name__}: {one_line(error)}")
    return Result(slip, Outcome.SENT)
