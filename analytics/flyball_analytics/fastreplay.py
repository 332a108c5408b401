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
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from flyball_analytics.fastreplay_columns import GAP_FAST
from flyball_analytics.fastreplay_memory import (
    can_serve,
    columns_for,
    is_quiet,
    lay_out,
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
    from flyball_analytics.fastreplay_memory import Columns, Memory, Params

Kept = TypeVar("Kept")

# Compiling costs, once per user, as much as interpreting nearly twice as many windows; loading what was
# compiled before, a ninth of this (benchmarks/bench_replay.py prints it). In a process that has it, ...
COMPILE_FROM = 400_000
COMPILED_FROM = 256  # ... a history this short is not worth laying out in arrays.
# After a stretch too short to be worth the way there and back, the interpreter goes on until one window
# was quiet again, twice as many after each further one, at most so many.
PATIENCE_MAX = 256
NO_COMPILER = "replay is interpreted, hundreds of times slower: numba is missing (pip install 'flyball[sim]')"
SHORT_STRETCH = 8


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
    advance = None
    if _may_compile(rows, engine) and can_serve(policy):
        advance = compiled_advance(say or _to_stderr)
    if advance is not None:
        return run_with(advance, history, policy, state)
    tally = Tally(policy, state, as_noted)
    replay_rows(tally, Rows(history), None)
    return outcome_of(tally, Engine.INTERPRETED)


def run_with(advance: Callable[..., int], history: Series | History, policy: Policy, state: State) -> Outcome:
    """Return the outcome with the quiet windows run by `advance`: fastreplay_loop's, or compiled."""
    from flyball_analytics.fastreplay_columns import history_of

    if isinstance(history, Series):
        history = history_of(history.observations, looks_s=history.period_s, target=history.target)
    tally = Tally(policy, state, as_noted)
    replay_rows(tally, Rows(history), Quick(advance, columns_for(history), params_for(policy)))
    return outcome_of(tally, Engine.COMPILED)


def as_noted(one: Noted, nominal: Setpoint) -> Noted:
    """Keep a noted step as it is."""
    return one


def outcome_of(tally: Tally[Noted], engine: Engine) -> Outcome:
    """Return everything that a replay came to."""
    low, between, clean = tally.counts
    steps = len(tally.noted) + low + between + clean
    return Outcome(steps, tuple(tally.noted), Quiet(clean, between, low), tally.state, engine)


class Quick(NamedTuple):
    """What runs quiet windows: the entry, a history's columns, a policy's numbers, thresholds beside it."""

    advance: Callable[..., int]
    columns: Columns
    params: Params
    lanes: tuple[tuple[float, ...], ...] = ()


class Tally(Generic[Kept]):
    """How far a replay has come: the row, the state before it, what is kept of the steps behind it."""

    def __init__(self, policy: Policy, state: State, keep: Callable[[Noted, Setpoint], Kept]) -> None:
        self.policy = policy
        self.state = state
        self.keep = keep
        self.row = 0
        self.noted: list[Kept] = []
        self.counts = [0, 0, 0]
        self._nominal = nominal_setpoint(policy)
        self._notes = 2 if policy.mode == Mode.SHADOW else 1

    def step(self, observation: Observation, *, look: bool) -> bool:
        """Take one step; return whether it was quiet."""
        before = self.state.law.applied
        state, decision = step(self.state, observation, self.policy)
        self.state = state
        kind = _KIND.get(decision.evidence[0].reason)
        if (
            kind is not None
            and len(decision.evidence) == self._notes
            and decision.regime == Regime.NOMINAL
            and decision.proposed == decision.applied == before == self._nominal
        ):
            self.counts[kind] += 1
            return True
        noted = Noted(self.row, look, observation, decision, before)
        self.noted.append(self.keep(noted, self._nominal))
        return False


_KIND = {
    Reason.NOT_ENOUGH_DATA: 0,
    Reason.BETWEEN_TRIP_AND_RESET: 1,
    Reason.ERROR_RATE_UNDER_RESET: 2,
}


class Rows:
    """What is stepped through to get past each row of a history."""

    def __init__(self, history: Series | History, *, kept_max: int = 0) -> None:
        """Take a history; what was made of up to `kept_max` rows is kept for whoever asks again."""
        self._history = history
        self._kept_max = kept_max
        self._kept: dict[int, list[tuple[Observation, bool]]] = {}
        self.count = len(history.observations) if isinstance(history, Series) else history.rows

    def seen(self, row: int) -> list[tuple[Observation, bool]]:
        """Return the looks before a row (True), and the row."""
        pairs = self._kept.get(row)
        if pairs is None:
            pairs = self._seen(row)
            if len(self._kept) < self._kept_max:
                self._kept[row] = pairs
        return pairs

    def _seen(self, row: int) -> list[tuple[Observation, bool]]:
        history = self._history
        if not isinstance(history, Series):
            return history.seen(row)
        pair = history.observations[max(row - 1, 0) : row + 1]
        if row == 0 or pair[1].arrived_s - pair[0].arrived_s <= GAP_FAST * history.period_s:
            return [(pair[-1], False)]
        return list(with_looks(pair, period_s=history.period_s))[1:]

    def sound(self, row: int) -> bool:
        """Return whether the quiet path may look at a row."""
        return not isinstance(self._history, Series) and bool(self._history.sound[row])


def replay_rows(tally: Tally[Kept], rows: Rows, quick: Quick | None) -> None:
    """Replay from the tally's row to the end; quiet windows by `quick`, None: every window is stepped."""
    memory: Memory | None = None
    needed, quiet = 0, 0
    while tally.row < rows.count:
        if (
            quick is not None
            and quiet >= needed
            and rows.sound(tally.row)
            and is_quiet(tally.state, tally.policy)
        ):
            if memory is None:
                memory = memory_of(tally.state, quick.lanes)
            else:
                lay_out(memory, tally.state)
            reached = int(quick.advance(quick.columns, tally.row, rows.count, memory, quick.params))
            stretch = reached - tally.row
            if stretch > 0:
                tally.state, tally.row = state_of(memory, tally.state), reached
                for kind, count in enumerate(memory.counted.tolist()):
                    tally.counts[kind] += count
            needed = 0 if stretch >= SHORT_STRETCH else min(max(2 * needed, 1), PATIENCE_MAX)
            quiet = 0
            if reached == rows.count:
                break
        for observation, look in rows.seen(tally.row):
            quiet = quiet + 1 if tally.step(observation, look=look) else 0
        tally.row += 1


def _may_compile(rows: int, engine: Engine) -> bool:
    if engine is not Engine.AUTO:
        return engine is Engine.COMPILED
    return rows >= (COMPILED_FROM if _at_hand else COMPILE_FROM)


_at_hand: list[bool] = []  # filled once this process has compiled code
_said: set[str] = set()


def compiled_advance(say: Callable[[str], None]) -> Callable[..., int] | None:
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
