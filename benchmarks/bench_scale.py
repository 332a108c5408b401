"""How many targets one controller carries: measured rounds, measured documents, AWS's quotas in one table.

    python benchmarks/bench_scale.py              # 10,000 targets, a minute or two
    python benchmarks/bench_scale.py --quick      # 1,000

Runs the production round on in-memory ports for all targets in one shard (the
reference) and for each of the shards that the table asks for, calm and with a
tenth of the targets failing; sizes documents with the real encoder; and
computes from quotas what a minute of the fleet needs. Times of AWS calls are
assumptions, named below: nothing here calls AWS.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyball.contract import Document
from flyball.document import encode_document
from flyball.records import DOCUMENT_BYTES_MAX
from flyball_controller.core.model import Observation
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.fakes import (
    MemoryCheckpoints,
    MemoryCircuits,
    MemoryHolds,
    MemoryJournal,
    MemoryPublisher,
)
from flyball_controller.loop import Ports, Trigger, run_once
from flyball_controller.policy_file import load_policy
from flyball_controller.publication import to_params
from flyball_controller.round_records import Remembered
from flyball_controller.shards import Shard, owned, shard_of

NOON_S = 1_795_435_200.0
POLICIES = load_policy("two-loop")
# Quotas of the services per region, as documented in 2026; a table read that waits 4 ms is typical in-region.
METRICS_PER_TARGET = 10
QUERIES_PER_CALL, CALLS_PER_S = 500, 500  # GetMetricData
POINTS_PER_S = 180_000  # GetMetricData, last three hours
KEYS_PER_CALL, TABLE_UNITS_PER_S = 100, 40_000  # BatchGetItem; on-demand table, both directions
INSIGHTS_SERIES = 500  # of one Metrics Insights query: the default alarms on the client's metrics
METRIC_CALL_S, TABLE_CALL_S, WRITE_CALL_S = (
    0.25,
    0.02,
    0.008,
)  # assumed, one after the other as the round does
TICK_BUDGET_S = 45.0  # of the function's 60 s


class Fleet:
    """A `Sensor` port: one window per target and minute; the first `failing` targets fail fast."""

    def __init__(self) -> None:
        self.failing: frozenset[str] = frozenset()

    def read(
        self, targets: Sequence[str], *, since_s: Mapping[str, float], now_s: float
    ) -> Mapping[str, tuple[Observation, ...]]:
        """Return the minute that ended last."""
        start_s = now_s // 60.0 * 60.0 - 60.0
        found = {}
        for target in targets:
            fast = 570 if target in self.failing else 1
            found[target] = (
                Observation(
                    target, start_s, 60.0, now_s, 600, 0, fast, 0, 600 + fast, 0, latency_ms_p99=90.0
                ),
            )
        return found

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return nothing: a new installation."""
        return ()


class Cost(NamedTuple):
    """CPU milliseconds of each shard's round (medians), and what all shards wrote in an incident minute."""

    calm_ms: tuple[float, ...]
    incident_ms: tuple[float, ...]
    saves: int
    circuits: int
    decided: frozenset[int]  # how many targets got a decision, of every minute
    twice: int  # decisions about a target that another shard had decided about in the same minute
    conflicts: int


def minutes(shares: Sequence[Sequence[str]], *, failing: frozenset[str], size: int) -> Cost:
    """Run six calm minutes and five with failures: every shard each minute, over the same stores."""
    fleet, store, circuits = Fleet(), MemoryCheckpoints(), MemoryCircuits()
    ports = Ports(fleet, store, circuits, MemoryHolds(), MemoryPublisher(), MemoryJournal())
    caches: list[dict[str, Remembered]] = [{} for _ in shares]
    spent: list[list[float]] = [[] for _ in shares]
    decided, twice, conflicts = set(), 0, 0
    everybody = [target for share in shares for target in share]
    for minute in range(11):
        seen: set[str] = set()
        fleet.failing = failing if minute >= 6 else frozenset()
        if minute == 6:
            saves, published = store.saves, len(circuits.writes)
        for share, cache, times in zip(shares, caches, spent, strict=True):
            began_ns = time.process_time_ns()
            report = run_once(
                share,
                ports=ports,
                policies=POLICIES,
                now_s=NOON_S + 60.0 * minute + 25.0,
                trigger=Trigger("tick", ""),
                cache=cache,
                fleet=everybody,
                histories_max=size,  # in the eleven minutes nobody is new
            )
            times.append((time.process_time_ns() - began_ns) / 1e6)
            names = {decision.target for decision in report.decisions}
            twice += len(names & seen)
            seen |= names
            conflicts += report.conflicts
        decided.add(len(seen))
    calm = tuple(sorted(times[1:6])[2] for times in spent)
    incident = tuple(sorted(times[6:])[2] for times in spent)
    written = (store.saves - saves) // 5, (len(circuits.writes) - published) // 5
    return Cost(calm, incident, *written, frozenset(decided), twice, conflicts)


def document_bytes(targets: Sequence[str]) -> tuple[float, float]:
    """Return a document's bytes per target, nominal and with every parameter of the law moved."""
    policy = POLICIES.default
    nominal = nominal_setpoint(policy)
    moved = nominal._replace(max_attempts=2, budget_ratio=0.1, throttle_base_ms=4_000, probe_ratio=0.3)
    sizes = []
    for setpoint in (nominal, moved):
        some = {target: to_params(setpoint, policy) for target in targets[:100]}
        empty = len(encode_document(Document(1, "", POLICIES.hash, {})))
        sizes.append((len(encode_document(Document(1, "", POLICIES.hash, some))) - empty) / len(some))
    return sizes[0], sizes[1]


def row(what: str, need: float, limit: float, unit: str) -> None:
    """Print what is needed beside what is allowed."""
    print(f"  {what:<44}{need:>12,.0f}{limit:>12,.0f} {unit:<12}{need / limit:>7.2f} x")


def main() -> None:
    """Measure, compute and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="1,000 targets")
    size = 1_000 if parser.parse_args().quick else 10_000
    targets = [f"team-{n % 37:02d}/service-{n:05d}" for n in range(size)]
    failing = frozenset(targets[: size // 10])
    whole = minutes([targets], failing=failing, size=size)
    writes = whole.saves + whole.circuits
    calls_s = METRIC_CALL_S * math.ceil(METRICS_PER_TARGET * size / QUERIES_PER_CALL)
    reads_s = 2.0 * TABLE_CALL_S * math.ceil(size / KEYS_PER_CALL)
    # A function of 512 MB has 0.29 of a processor.
    cpu_s = whole.incident_ms[0] / 1_000.0 / 0.29
    alone_s = calls_s + reads_s + writes * WRITE_CALL_S + cpu_s
    shards = max(2, math.ceil(alone_s / TICK_BUDGET_S))
    print(f"A minute of {size:,} targets, a tenth of them failing          needed     allowed")
    row("GetMetricData calls", METRICS_PER_TARGET * size / QUERIES_PER_CALL, 60.0 * CALLS_PER_S, "a minute")
    row("GetMetricData points, one minute back", METRICS_PER_TARGET * size, 60.0 * POINTS_PER_S, "a minute")
    row("table writes", writes, 60.0 * TABLE_UNITS_PER_S, "a minute")
    row("series of a default client alarm", size, INSIGHTS_SERIES, "targets")
    nominal, moved = document_bytes(targets)
    row(f"document, nominal ({nominal:.0f} B a target)", nominal * size, DOCUMENT_BYTES_MAX, "bytes")
    row(f"document, all moved ({moved:.0f} B a target)", moved * size, DOCUMENT_BYTES_MAX, "bytes")
    documents = math.ceil(moved * size / DOCUMENT_BYTES_MAX)
    print(f"    = {documents} installations, each with a document, or circuits alone")
    row("one tick that looks at all of them", alone_s, TICK_BUDGET_S, "s")
    print(
        f"    = metrics {calls_s:.0f} + reads {reads_s:.0f} + {writes:,} writes {writes * WRITE_CALL_S:.0f}"
        f" + processor {cpu_s:.0f} (assumed: {METRIC_CALL_S:g}, {TABLE_CALL_S:g}, {WRITE_CALL_S:g} s a call;"
        " 512 MB)"
    )
    sizes = [sum(shard_of(target, shards) == k for target in targets) for k in range(1, shards + 1)]
    print(f"\n{shards} shards: {min(sizes):,} to {max(sizes):,} targets   (reference: one shard)")
    shares = [owned(targets, Shard(number, shards)) for number in range(1, shards + 1)]
    parts = minutes(shares, failing=failing, size=size)
    for name, each, all_ in (
        ("calm", parts.calm_ms, whole.calm_ms[0]),
        ("incident", parts.incident_ms, whole.incident_ms[0]),
    ):
        print(f"  processor of the slowest shard, {name:<9} {max(each):>8,.0f} ms {max(each) / all_:>7.3f} x")
        print(f"  processor of all shards, {name:<16} {sum(each):>8,.0f} ms {sum(each) / all_:>7.3f} x")
    print(
        f"  writes in an incident minute {parts.saves + parts.circuits:>21,}    "
        f"{(parts.saves + parts.circuits) / writes:>7.3f} x"
    )
    print(
        f"  targets decided about, each minute {sorted(parts.decided)}, by two shards {parts.twice}, "
        f"lost races {parts.conflicts}"
    )
    assert parts.decided == {size}, "every target must have an owner"
    assert not parts.twice, "no target may have two"
    begun_ns = time.process_time_ns()
    owned(targets, Shard(shards, shards))
    print(f"  finding its targets {(time.process_time_ns() - begun_ns) / 1e6:>26,.0f} ms")


if __name__ == "__main__":
    main()
