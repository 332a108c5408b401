"""What the client costs beside time per call: store reads, bytes per target, modules and CPU of its import.

Counts are exact and judged strictly; only the CPU of an import is a timing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flyball
from flyball.call import Target
from flyball.environment import Runtime
from flyball.records import Circuit, Document
from flyball.sources import CIRCUIT_AGE_S, DOCUMENT_AGE_S

TASKS = 1_000
CALLS_PER_TASK = 3
TARGETS = 500  # enough that what they share weighs nothing
BUSY_CALLS = 2_000  # more than the latencies that a target keeps between two flushes


class Reads(NamedTuple):
    """Store reads of TASKS concurrent tasks: at the first call, until the next refresh, and at that one."""

    first: int
    between: int
    refresh: int
    calls: int


class Footprint(NamedTuple):
    """Bytes per target, by tracemalloc: everything that the allocator gave, shared objects left out."""

    target: float  # flyball.call.Target alone
    guarded: float  # with its handle and one decorated function
    busy: float  # the same after BUSY_CALLS calls without a flush


class Import(NamedTuple):
    """Of a fresh interpreter."""

    cpu_ms: float
    modules: int


class HandClock:
    """Stands still until it is told; `draw` is the middle of everything."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def wall_s(self) -> float:
        """Return epoch seconds."""
        return self.now_s

    def monotonic_s(self) -> float:
        """Return the same: it never goes back."""
        return self.now_s

    def draw(self) -> float:
        """Return 0.5."""
        return 0.5

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.now_s += seconds


class CountingDocuments:
    """A document; counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> Document | None:
        """Return the document."""
        self.reads += 1
        return Document(1, "", "", {})


class CountingCircuits:
    """No circuit; counts how often that is read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, targets: Sequence[str], function: str) -> Sequence[Circuit]:
        """Return nothing."""
        self.reads += 1
        return ()


def store_reads() -> Reads:
    """Count the reads of TASKS tasks whose calls overlap, on a clock that is moved by hand."""
    documents, circuits, clock = CountingDocuments(), CountingCircuits(), HandClock()
    runtime = Runtime(
        function="checkout",
        documents=documents,
        circuits=circuits,
        clock=clock,
        write=lambda line: None,
    )
    served = 0

    @flyball.target("payments-api", idempotent=True, within=runtime).guard
    async def call() -> None:
        nonlocal served
        await asyncio.sleep(0)  # every task is inside its call before any comes out
        served += 1

    async def task() -> None:
        for _ in range(CALLS_PER_TASK):
            await call()

    async def crowd() -> int:
        before = documents.reads + circuits.reads
        await asyncio.gather(*(task() for _ in range(TASKS)))
        return documents.reads + circuits.reads - before

    async def phases() -> tuple[int, int, int]:
        await call()
        first = documents.reads + circuits.reads
        between = await crowd()
        clock.now_s += 1.2 * max(CIRCUIT_AGE_S, DOCUMENT_AGE_S)
        return first, between, await crowd()

    first, between, refresh = asyncio.run(phases())
    return Reads(first, between, refresh, served)


def bytes_per_target() -> Footprint:
    """Measure TARGETS of each kind with tracemalloc."""
    clock = HandClock()

    def bare() -> list[object]:
        return [Target(f"target-{i}") for i in range(TARGETS)]

    def guarded() -> list[object]:
        runtime = Runtime(clock=clock, write=lambda line: None)
        kept: list[object] = []
        for i in range(TARGETS):

            def call() -> None:
                """Stand for the user's function, which exists anyway."""

            kept.append(call)
            kept.append(flyball.target(f"target-{i}", within=runtime).guard(call))
        return kept

    functions = _allocated(lambda: [_own_function() for _ in range(TARGETS)])
    return Footprint(
        _allocated(bare) / TARGETS,
        (_allocated(guarded) - functions) / TARGETS,
        _busy_bytes(clock),
    )


def _own_function() -> Callable[[], None]:
    def call() -> None:
        """Stand for the user's function, which exists anyway."""

    return call


def _busy_bytes(clock: HandClock) -> float:
    runtime = Runtime(clock=clock, write=lambda line: None)

    @flyball.target("payments-api", within=runtime).guard
    def call() -> None:
        clock.now_s += 1e-4  # a latency of its own each time, as real ones have

    def calls() -> None:
        for _ in range(BUSY_CALLS):
            call()

    call()
    return _allocated(calls, rehearse=False)


def _allocated(make: Callable[[], object], *, rehearse: bool = True) -> float:
    """Return the bytes still allocated after `make` while its result is alive."""
    kept = make() if rehearse else None  # what is made once only (caches, interned names) is made here
    del kept
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = make()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del kept
    return float(after - before)


# Ours is imported *and used*: names are loaded lazily, and an import that loads nothing proves nothing.
OURS = (
    "import flyball\n"
    "guarded = flyball.target('payments-api', idempotent=True).guard(lambda: 1)\n"
    "assert guarded() == 1"
)
# Theirs is made ready for its first call, which would go over the network: a store needs its client.
POWERTOOLS = (
    "from aws_lambda_powertools.utilities.circuit_breaker import circuit_breaker, persistence\n"
    "store = persistence.CircuitBreakerDynamoDBPersistence(table_name='circuits')\n"
    "guarded = circuit_breaker(name='payments-api', persistence_store=store)(lambda: 1)"
)
# botocore wants a region, and must not go looking for credentials on the network.
NO_ACCOUNT = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
}
PROBE = """
import json, sys, time
before = len(sys.modules)
begin = time.process_time_ns()
{what}
cpu = time.process_time_ns() - begin
print(json.dumps([cpu / 1e6, len(sys.modules) - before]))
"""


def imports(*, rounds: int) -> tuple[Import, Import]:
    """Measure ours (imported, a target declared, one call made) and Powertools' (imported, store made)."""
    samples: dict[str, list[tuple[float, int]]] = {OURS: [], POWERTOOLS: []}
    environment = {**os.environ, **NO_ACCOUNT}
    for _ in range(rounds):
        for what, results in samples.items():
            command = [sys.executable, "-I", "-c", PROBE.format(what=what)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            cpu_ms, modules = json.loads(done.stdout)
            results.append((cpu_ms, modules))
    ours, theirs = (
        Import(statistics.median(cpu for cpu, _ in results), results[0][1]) for results in samples.values()
    )
    return ours, theirs
