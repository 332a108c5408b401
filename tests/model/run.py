"""The model's long run: explored whole, each planted bug found, traces of the code held against it."""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter

from model.conformance import differences
from model.explore import Found, explore
from model.protocol import Machine, Size
from model.rules import MUTANTS

SMALL = Size(duplicates=0, throttles=0, crashes=1, lost=1, ticks=0, time=2)
# Where planted bugs are looked for, the smallest first.
ALONE = Size(controllers=1)  # with every fault
RIVALS = Size(duplicates=0, lost=0, throttles=0, crashes=0, ticks=2, time=0)
HUNT = ((RIVALS, 200_000), (Size(), 10_000), (ALONE, 200_000), (Size(), 400_000))
WHOLE = Size(time=2)  # each fault once: what `make test` explores
LONG = (Size(), Size(controllers=3, events=2, duplicates=0, throttles=0, crashes=0, time=2))


def hunt(wrong: str) -> Found:
    """Return how a planted bug was found in the smallest machine that shows it; nothing broken if in none."""
    for size, states_max in HUNT:
        found = explore(Machine(size, wrong), states_max=states_max)
        if found.broken:
            break
    return found


def conform(first: int, traces: int) -> int:
    """Hold the traces of some seeds against the rules; print what they hold; return how many differ."""
    from simulation.schedule import draw
    from simulation.world import trace

    kinds: Counter[str] = Counter()
    differ = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(first, first + traces):
            events = trace(draw(seed))
            kinds.update(event.kind for event in events)
            found = differences(events)
            differ += bool(found)
            for line in found[:1]:
                print(f"seed {seed}: {line}")
            print(f"\r{seed - first + 1} of {traces} traces", end="", file=sys.stderr)
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    print(f"\n{traces} traces of the code, {sum(kinds.values())} events ({told}): {differ} differ")
    return differ


def report(size: str, *, traces: int = 0) -> int:
    """Print what was explored, which planted bugs were caught, and how traces conform; the exit code."""
    sizes = LONG if size == "long" else (SMALL,)
    failed = 0
    print("| size | states | edges | longest way | broken |\n|---|---:|---:|---:|---|")
    for one in sizes:
        begun_s = time.monotonic()
        found = explore(Machine(one), ways=size != "long")
        rate = found.states / (time.monotonic() - begun_s)
        told = ", ".join(f"{name} {value}" for name, value in one._asdict().items())
        print(f"| {told} | {found.states} | {found.edges} | {found.depth} | {found.broken or 'nothing'} |")
        print(f"{rate:.0f} states per second", file=sys.stderr)
        failed += bool(found.broken)
        for label in found.way:
            print(f"  {label}")
    print("\n| planted bug | caught by | states until then | steps |\n|---|---|---:|---:|")
    for wrong, laws in MUTANTS.items():
        found = hunt(wrong)
        failed += found.broken not in laws.split()
        print(f"| {wrong} | {found.broken or 'nothing'} | {found.states} | {len(found.way)} |")
    if traces:
        failed += conform(0, traces)
    return 1 if failed else 0
