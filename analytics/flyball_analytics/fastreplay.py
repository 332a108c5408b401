"""A replay at the speed of compiled code, with the decisions of replay.py and the same state bytes.

Most windows of most services are quiet: nominal before and after, nothing over a
threshold. Those run compiled (fastreplay_loop.py); every other window, and every look
into a gap, goes through the production `step` on the very state. An `Outcome` holds the
steps that are not quiet with their decisions, and of the quiet ones how many there
were, so that a year of minutes fits into little memory. Which engine ran changes nothing in it.

numba is optional. Without it, or for short histories where compiling costs more than
it saves, everything is interpreted; a line says so where it matters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from flyball_analytics.fastreplay_memory import (
    can_serve,
    columns_for,
    is_quiet,
    memory_of,
    params_for,
    state_of,
)
from flyball_analytics.replay import with_looks
from flyball_analytics.series import Series
from flyball_controller.codec import decode_state, encode_state
from flyball_controller.core.model import Decision, Mode, Observation, Reason, Regime, Setpoint
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import State, initial_state, nominal_setpoint
from flyball_controller.core.step import step

if TYPE_CHECKING:
    from flyball_analytics.fastreplay_columns import History

# Compiling costs as much as interpreting this many windows, loading what was compiled before a
# tenth of it (benchmarks/bench_replay.py prints it). In a process that has it, ...
COMPILE_FROM = 400_000
COMPILED_FROM = 256  # ... a history this short is not worth laying out in arrays.
# After a handed-over window the interpreter goes on until this many windows were quiet
# again, twice as many after each stretch too short to be worth the way back.
PATIENCE_MAX = 256
NO_COMPILER = "replay is interpreted, hundreds of times slower: numba is missing (pip install 'flyball[sim]')"
SHORT_STRETCH = 64


class Engine(StrEnum):
    """What runs the quiet windows."""

    AUTO = "auto"
    COMPILED = "compiled"
    INTERPRETED = "interpreted"


class Quiet(NamedTuple):
    """How many windows were quiet: clean, between trip and reset, or with too little data to say."""

    clean: int = 0
    between: int = 0
    data_low: int = 0

    @property
    def windows(self) -> int:
        """All of them."""
        return self.clean + self.between + self.data_low


class Noted(NamedTuple):
    """A step that is not quiet: what was seen and decided. `row` counts the history's rows from 0.

    A look into a gap has the row that ends the gap.
    """

    row: int
    look: bool
    observation: Observation
    decision: Decision
    before: Setpoint


class Outcome(NamedTuple):
    """What a replay came to: the steps that are not quiet, the count of those that are, the last state."""

    steps: int
    noted: tuple[Noted, ...]
    quiet: Quiet
    state: State
    engine: Engine

    @property
    def state_bytes(self) -> bytes:
        """The last state as `replay` hands it on: `start` of the next run."""
        return encode_state(self.state)


def run(
    history: Series | History,
    policy: Policy,
    *,
    start: bytes | State | None = None,
    engine: Engine = Engine.AUTO,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Return what the production step does over a history, from its first row to its last.

    Args:
        history: A series, replayed with looks into its gaps like `replay_series`; or columns
            (fastreplay_columns), which say themselves whether looks are wanted.
        policy: From `PolicySet.for_target`.
        start: State to continue from, or its bytes; None: a target never seen before.
        engine: AUTO compiles from COMPILE_FROM rows on, or where compiled code is at hand.
        say: Called with one line per process where compiled code was wanted and could not
            be had or kept; default: the line goes to standard error.

    Raises:
        CheckpointError: If `start` is bytes of no state.
    """
    state = (
        initial_state(policy) if start is None else decode_state(start) if isinstance(start, bytes) else start
    )
    rows = len(history.observations) if isinstance(history, Series) else history.rows
    if _may_compile(rows, engine) and can_serve(policy):
        advance = _advance(say or _to_stderr)
        if advance is not None:
            return run_with(advance, history, policy, state)
    tally = _Tally(policy, state)
    for row, pairs in enumerate(_rows(history)):
        for observation, look in pairs:
            tally.step(row, observation, look=look)
    return tally.outcome(Engine.INTERPRETED)


class _Tally:
    """The interpreted half: steps, and keeps what is not quiet."""

    def __init__(self, policy: Policy, state: State) -> None:
        self.policy = policy
        self.state = state
        self.nominal = nominal_setpoint(policy)
        self.notes = 2 if policy.mode == Mode.SHADOW else 1
        self.noted: list[Noted] = []
        self.counts = [0, 0, 0]

    def step(self, row: int, observation: Observation, *, look: bool) -> bool:
        """Take one step; return whether it was quiet."""
        before = self.state.law.applied
        self.state, decision = step(self.state, observation, self.policy)
        kind = _KIND.get(decision.evidence[0].reason)
        if (
            kind is not None
            and len(decision.evidence) == self.notes
            and decision.regime == Regime.NOMINAL
            and decision.proposed == decision.applied == before == self.nominal
        ):
            self.counts[kind] += 1
            return True
        self.noted.append(Noted(row, look, observation, decision, before))
        return False

    def outcome(self, engine: Engine) -> Outcome:
        """Return everything so far."""
        low, between, clean = self.counts
        steps = len(self.noted) + low + between + clean
        return Outcome(steps, tuple(self.noted), Quiet(clean, between, low), self.state, engine)


_KIND = {
    Reason.NOT_ENOUGH_DATA: 0,
    Reason.BETWEEN_TRIP_AND_RESET: 1,
    Reason.ERROR_RATE_UNDER_RESET: 2,
}


def run_with(advance: Callable[..., int], history: Series | History, policy: Policy, state: State) -> Outcome:
    """Return the outcome with the quiet windows run by `advance`: fastreplay_loop's, or compiled."""
    from flyball_analytics.fastreplay_columns import history_of

    if isinstance(history, Series):
        history = history_of(history.observations, looks_s=history.period_s, target=history.target)
    columns, params = columns_for(history), params_for(policy)
    tally = _Tally(policy, state)
    row, needed, quiet = 0, 1, 1
    while row < history.rows:
        if quiet >= needed and history.sound[row] and is_quiet(tally.state, policy):
            memory = memory_of(tally.state)
            reached = int(advance(columns, row, history.rows, memory, params))
            if reached > row:
                tally.state = state_of(memory, tally.state)
                for kind, count in enumerate(memory.counted.tolist()):
                    tally.counts[kind] += count
            longer = 2 * needed if needed < PATIENCE_MAX else needed
            needed = 1 if reached - row >= SHORT_STRETCH else longer
            row, quiet = reached, 0
            continue
        for observation, look in history.seen(row):
            quiet = quiet + 1 if tally.step(row, observation, look=look) else 0
        row += 1
    return tally.outcome(Engine.COMPILED)


def _rows(history: Series | History) -> Iterator[list[tuple[Observation, bool]]]:
    """Yield for every row what is stepped through to get past it."""
    if not isinstance(history, Series):
        yield from (history.seen(row) for row in range(history.rows))
        return
    pairs: list[tuple[Observation, bool]] = []
    for observation, look in with_looks(history.observations, period_s=history.period_s):
        pairs.append((observation, look))
        if not look:
            yield pairs
            pairs = []


def _may_compile(rows: int, engine: Engine) -> bool:
    if engine is not Engine.AUTO:
        return engine is Engine.COMPILED
    return rows >= (COMPILED_FROM if _at_hand else COMPILE_FROM)


_at_hand: list[bool] = []  # filled once this process has compiled code
_said: set[str] = set()


def _advance(say: Callable[[str], None]) -> Callable[..., int] | None:
    """Return the compiled entry, None without numba; announce once what is not as it should be."""
    from flyball_analytics.fastreplay_jit import compiled

    code = compiled()
    notice = code.notice if code is not None else NO_COMPILER
    if notice and notice not in _said:
        _said.add(notice)
        say(notice)
    if code is None:
        return None
    if not _at_hand:
        _at_hand.append(True)
    return code.advance


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
