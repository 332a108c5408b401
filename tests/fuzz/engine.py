"""The loop: inputs drawn from a seed, each put through one door, laws checked, the smallest failure kept.

A *door* is a parser of the product with what must hold for any input: only named
errors, no hang, no growth of memory, and what its own check adds (a round trip, kept
neighbours). A *batch* is a number of inputs from one seed. It begins with the
committed corpus and learns inside the batch alone, so the same door, seed and code
give the same inputs: a failure is found again by its batch, and printed as input.

Inputs are learned from if they come to an outcome, or (for one in `TRACE_EVERY`,
because tracing is slow) reach a line, that none before did.

Knows no parser; no clock but the processor's own time, which a busy machine does
not shorten.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from random import Random
from types import FrameType
from typing import Any, NamedTuple

from fuzz.shrink import TRIES_MAX, shrink

RING_AGAIN_S = 0.001
CPU_S_MAX = 5.0  # an input of at most some 100 kB takes milliseconds; a hang takes for ever
TRACE_EVERY = 256
MEMORY_EVERY = 512
POOL_MAX = 600  # learned inputs of a batch
# Peak while an input is read: so many bytes free, then so many per byte of input.
MEMORY_FREE = 4 << 20
MEMORY_PER_BYTE = 100
AGAIN = 32  # inputs that are repeated to see whether memory grows
HANG_TRIES_MAX = 30  # each costs its whole time
PACKAGES = ("flyball", "flyball_controller", "flyball_handlers", "flyball_analytics")

Case = Any  # bytes, or a JSON value


class Broken(AssertionError):  # noqa: N818 - a law, not an error of the program
    """A law that an input broke; `law` names it."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law = law


class Hang(BaseException):
    """The input took too long. No Exception: a parser that catches everything must not swallow it."""


class Door(NamedTuple):
    """One parser. `check` returns what the input came to, a short word, or raises Broken."""

    name: str
    seeds: Callable[[], Sequence[Case]]
    mutate: Callable[[Random, Sequence[Case]], Case]
    check: Callable[[Case], str]


class Failure(NamedTuple):
    """An input that broke a law, made small."""

    law: str
    what: str
    case: Case


Judged = tuple[str, Failure | None]


class Outcome(NamedTuple):
    """What a batch came to."""

    inputs: int
    words: Counter[str]
    failures: tuple[Failure, ...]
    learned: tuple[Case, ...]
    lines: int


def require(holds: bool, law: str, what: object = "") -> None:
    """Raise Broken if a law does not hold."""
    if not holds:
        raise Broken(law, str(what)[:300])


def told(error: BaseException) -> str:
    """Return the word of a named error; its message must be short and must not steer a terminal or a log."""
    text = str(error)
    require(len(text) < 20_000, "short message", len(text))
    require(all(c.isprintable() or c == "\n" for c in text), "printable message", ascii(text[:200]))
    field = getattr(error, "field", "")
    return f"{type(error).__name__}:{str(field)[:20] if len(str(field)) < 40 else 'long'}"


@contextmanager
def watched(cpu_s: float) -> Iterator[None]:
    """Raise Hang in the main thread when the process has used so much processor time."""

    def ring(number: int, frame: FrameType | None) -> None:
        if frame is not None and f"{os.sep}coverage{os.sep}" in frame.f_code.co_filename:
            # It holds a lock for a moment; raised through there, the lock would never be given back.
            signal.setitimer(signal.ITIMER_VIRTUAL, RING_AGAIN_S)
            return
        raise Hang

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def judge(door: Door, case: Case, cpu_s: float = CPU_S_MAX) -> Judged:
    """Return what one input came to, and the law it broke."""
    try:
        with watched(cpu_s):
            return door.check(case), None
    except Broken as broken:
        return "", Failure(broken.law, str(broken), case)
    except Hang:
        return "", Failure("no hang", f"more than {cpu_s:g} s of processor time", case)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {last.name}: {str(error)[:200]}"
        return "", Failure("only named errors", what, case)


class _Lines:
    """Which lines of the product inputs have reached."""

    def __init__(self) -> None:
        self.seen: set[tuple[object, int]] = set()
        self._fresh = False
        self._ours: dict[object, bool] = {}

    def reached_new(self, run: Callable[[], Judged]) -> tuple[Judged, bool]:
        """Run; return what it came to, and whether a line was reached for the first time."""
        self._fresh = False
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            judged = run()
        finally:
            sys.settrace(before)
        return judged, self._fresh

    def _call(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        ours = self._ours.get(code)
        if ours is None:
            ours = str(frame.f_globals.get("__name__", "")).split(".")[0] in PACKAGES
            self._ours[code] = ours
        return self._line if ours else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        key = (frame.f_code, frame.f_lineno)
        if key not in self.seen:
            self.seen.add(key)
            self._fresh = True
        return self._line


def _size(case: Case) -> int:
    return len(case) if isinstance(case, bytes) else len(repr(case))


def _memory(door: Door, case: Case, cpu_s: float) -> Failure | None:
    """Return the failure if reading an input takes memory out of proportion."""
    tracemalloc.start()
    try:
        begun, _ = tracemalloc.get_traced_memory()
        judge(door, case, cpu_s)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    allowed = MEMORY_FREE + MEMORY_PER_BYTE * _size(case)
    if peak - begun > allowed:
        return Failure("memory in proportion", f"{peak - begun} bytes; {allowed} allowed", case)
    return None


def growth(door: Door, cases: Sequence[Case]) -> Failure | None:
    """Return the failure if reading the same inputs again and again keeps more and more objects."""
    if not cases:
        return None
    counts = []
    for _ in range(5):
        for number in range(AGAIN):
            judge(door, cases[number % len(cases)])
        gc.collect()
        counts.append(sys.getallocatedblocks())
    # The first round fills caches; what grows in each of the others is kept for good.
    grown = min(after - before for before, after in pairwise(counts[1:]))
    if grown >= AGAIN:
        return Failure("no growth", f"{grown} objects kept by {AGAIN} inputs read once more", None)
    return None


def run_batch(door: Door, seed: int, inputs: int, *, cpu_s: float = CPU_S_MAX, stop_at: int = 5) -> Outcome:
    """Draw and judge `inputs` inputs; stop early after `stop_at` different failures."""
    rng = Random(f"{door.name}:{seed}")
    pool = list(door.seeds())
    begun = len(pool)
    words: Counter[str] = Counter()
    failures: dict[tuple[str, str], Failure] = {}
    lines = _Lines()
    done = 0
    recent: list[Case] = []
    for number in range(inputs):
        case = pool[number] if number < begun else door.mutate(rng, pool)
        fresh = False
        if number % TRACE_EVERY == 0:
            (word, failure), fresh = lines.reached_new(partial(judge, door, case, 10 * cpu_s))
        else:
            word, failure = judge(door, case, cpu_s)
        if failure is None and number % MEMORY_EVERY == 1:
            failure = _memory(door, case, cpu_s)
        done += 1
        if failure is not None:
            failures.setdefault((failure.law, failure.what.split(":")[0][:60]), failure)
            if len(failures) >= stop_at:
                break
            continue
        fresh = fresh or word not in words
        words[word] += 1
        if fresh and number >= begun and len(pool) < begun + POOL_MAX:
            pool.append(case)
        if len(recent) < AGAIN and number % 3 == 0:
            recent.append(case)
    kept = growth(door, recent) if not failures else None
    if kept is not None:
        failures[kept.law, ""] = kept
    small = tuple(_small(door, failure, cpu_s) for failure in failures.values())
    return Outcome(done, words, small, tuple(pool[begun:]), len(lines.seen))


def _small(door: Door, failure: Failure, cpu_s: float) -> Failure:
    """Return the smallest input found that breaks the same law in the same way."""
    if failure.law in ("no growth", "memory in proportion"):
        return failure
    head = failure.what.split(":")[0]

    def fails(case: Case) -> bool:
        _, again = judge(door, case, min(cpu_s, 1.0))
        return again is not None and again.law == failure.law and again.what.split(":")[0] == head

    tries_max = HANG_TRIES_MAX if failure.law == "no hang" else TRIES_MAX
    return failure._replace(case=shrink(failure.case, fails, tries_max=tries_max))
