"""Days of a fleet through the real handlers on the embedded AWS: does anything grow, does anything get lost?

    python benchmarks/bench_soak.py                                # 200 targets, six hours; some minutes
    python benchmarks/bench_soak.py --targets 1000 --days 7 --state week.json.gz  # hours of CPU
    python benchmarks/bench_soak.py --targets 1000 --days 7 --state week.json.gz --workers 2  # side by side
    python benchmarks/bench_soak.py --storm 10000 --targets 1000   # the alarm storm instead

A run with --state is saved each simulated hour and taken up again by the same
command: tables and documents are put back, containers start cold, memory is
judged inside each process. --wall-min stops after so many real minutes; --report
judges a saved run, also one under way. --workers N lives the installations in N
processes, each saved to a file of its own and judged by itself.
Incidents: benchmarks/soak_traffic.py. Limits: benchmarks/soak_checks.py. Exit
code 1 if a check fails, 4 if the run was too short to judge.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import resource
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flyball.contract import CircuitState
from soak_checks import Check, Facts, Sample, Tick, judge, quantile
from soak_parts import Part, live_together, part_of, parts, state_of
from soak_saved import restore, save
from soak_traffic import DAY_MIN, Calendar, Fleet
from soak_world import INSTALLATION_TARGETS, MINUTE_S, START_S, SoakWorld, forget_tracked_items
from storm_world import print_storm, storm

SCHEMA = 1
SAMPLES = 24  # at least, however short the run
INCONCLUSIVE = 4  # the exit code of the command line for too little data
CATCH_UP_MIN = 20
WHOLE = Part()


def calendar_of(minutes: int) -> Calendar:
    """Return the usual calendar, or one in which a run of hours meets every incident too."""
    if minutes >= DAY_MIN:
        return Calendar()
    quarter = max(10, minutes // 4)
    return Calendar(
        outage_first_min=quarter,
        outage_every_min=2 * quarter,
        outage_min=max(8, quarter // 4),
        absent_first_min=quarter // 4,
        absent_every_min=2 * quarter,
        absent_min=max(15, quarter // 3),
        quiet_min=max(35, minutes // 5),
    )


class Soak:
    """A run: its world, and what was seen of it so far."""

    def __init__(
        self,
        targets: int,
        minutes: int,
        seed: int,
        *,
        outage_every: int = 10,
        samples: int = SAMPLES,
        part: Part = WHOLE,
    ) -> None:
        count = -(-targets // INSTALLATION_TARGETS)
        names = tuple(f"i{k % count}-service-{k:04d}" for k in range(targets))
        mine = part.installations(count)
        only = None if part.of == 1 else [k for k in range(targets) if k % count in mine]
        fleet = Fleet(
            names,
            seed=seed,
            minutes=minutes,
            calendar=calendar_of(minutes),
            outage_every=outage_every,
            only=only,
        )
        self.world = SoakWorld(targets, minutes=minutes, seed=seed, fleet=fleet, only=mine)
        self.targets = sum(len(installation.targets) for installation in self.world.installations)
        self.minutes, self.seed, self.part = minutes, seed, part
        self.asked = [targets, minutes, seed, *(part if part.of > 1 else ())]
        self.samples: list[Sample] = []
        self.ticks: list[Tick] = []
        self.totals: Counter[str] = Counter()
        self.next_minute, self.leg = 0, 1
        self.sample_min = max(1, min(60, minutes // samples))

    def run(self, *, until: int, progress: Any = None, stop: Any = None) -> None:
        """Live the minutes from the next on up to `until`, sampling on the way."""
        first = self.next_minute
        with self.world.running(from_minute=first), few_collections():
            if first:
                self.world.catch_up(first - CATCH_UP_MIN, first)
            for number in range(first, until):
                cost = self.world.minute(number)
                self.ticks.append(Tick(number, cost.tick_ms, cost.off_nominal, cost.cold or number == first))
                self.next_minute = number + 1
                if self.next_minute % self.sample_min == 0:
                    self.sample()
                    if progress is not None:
                        progress(self)
                    if stop is not None and stop():
                        return

    def sample(self) -> None:
        """Look at everything that could have grown."""
        world = self.world
        journal_bytes, journal_records = world.drain_journal()
        sizes = [
            len(item["b"]["B"]) for _, item in world.items("state") if not item["key"]["S"].startswith("#")
        ]
        documents = world.documents().values()
        state = sum(1 for _ in world.items("state"))
        circuits = sum(1 for _ in world.items("circuits"))
        holds = sum(1 for _ in world.items("holds"))
        forget_tracked_items()  # moto remembers the items of all tables ever made, up to a bound
        gc.collect()
        self.samples.append(
            Sample(
                self.next_minute,
                self.leg,
                rss_bytes(),
                len(gc.get_objects()) - len(self.ticks) - len(self.samples),  # without this run's own notes
                state,
                circuits,
                holds,
                sum(sizes) / max(1, len(sizes)),
                max(sizes, default=0),
                max(map(len, documents), default=0),
                journal_bytes,
                journal_records,
            )
        )
        self._count()

    def _count(self) -> None:
        world = self.world
        self.totals.update(world.outcomes)
        world.outcomes.clear()
        for installation in world.installations:
            telemetry = installation.runtime.telemetry
            for name in (
                "wake_ups",
                "backend_errors",
                "changes",
                "decisions",
                "conflicts",
                "rejected_events",
            ):
                self.totals[name] += telemetry.totals.pop(name, 0)
            self.totals["opened"] += installation.circuits.opened
            installation.circuits.opened = 0
        self.totals["frozen"] += world.frozen
        world.frozen = 0
        self.totals["dead_letters"] += len(world.dead_letters.messages)
        world.dead_letters.messages.clear()

    def facts(self) -> Facts:
        """Return what happened."""
        totals = self.totals
        now_s = self.world.clock.now_s()
        open_now = [
            c for c in self.world.circuits.values() if c.state == CircuitState.OPEN and c.valid_until > now_s
        ]
        return Facts(
            self.targets,
            len(self.world.installations),
            totals["changes"],
            totals["opened"],
            totals["frozen"],
            totals["wake_ups"],
            totals["duplicates"],
            totals["dead_letters"],
            totals["backend_errors"],
            len(open_now),
            self.next_minute >= self.minutes,
        )

    def save(self, path: Path) -> None:
        """Write the run to a file, whole or not at all."""
        content = {
            "schema": SCHEMA,
            "asked": self.asked,
            "next_minute": self.next_minute,
            "leg": self.leg,
            "samples": self.samples,
            "ticks": self.ticks,
            "totals": self.totals,
            "world": save(self.world),
        }
        part = path.with_suffix(".part")
        part.write_bytes(gzip.compress(json.dumps(content).encode(), 1))
        part.replace(path)

    def restore(self, path: Path) -> None:
        """Take up a saved run.

        Raises:
            SystemExit: The file is of another run.
        """
        content = json.loads(gzip.decompress(path.read_bytes()))
        if content["schema"] != SCHEMA or content["asked"] != self.asked:
            sys.exit(
                f"{path}: schema {content['schema']}, targets, minutes, seed {content['asked']}; "
                f"asked for schema {SCHEMA}, {self.asked}: give the same, or another file"
            )
        self.world.clock.advance_to(START_S + MINUTE_S * content["next_minute"])  # what lapsed, has lapsed
        restore(self.world, content["world"])
        self.next_minute, self.leg = content["next_minute"], content["leg"] + 1
        self.samples = [Sample(*fields) for fields in content["samples"]]
        self.ticks = [Tick(*fields) for fields in content["ticks"]]
        self.totals = Counter(content["totals"])


@contextmanager
def few_collections() -> Any:
    """Let the collector look less often: what lives here lives for the whole run."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def rss_bytes() -> float:
    """Return the resident memory now; where the system does not tell, its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024.0
    return float(pages * resource.getpagesize())


def print_report(soak: Soak, checks: list[Check]) -> None:
    """Print what was run, what it cost, and every check."""
    days = soak.next_minute / DAY_MIN
    warm = [t.tick_ms for t in soak.ticks if not t.cold]
    last = soak.samples[-1]
    if soak.next_minute < soak.minutes:
        print(f"under way: {soak.next_minute:,} of {soak.minutes:,} minutes")
    print(
        f"{soak.targets:,} targets in {len(soak.world.installations)} installations, {days:.2f} simulated "
        f"days, {len(soak.ticks):,} minutes in {last.leg} processes, seed {soak.seed}, part {soak.part}"
    )
    print(
        f"  ticks of a minute, CPU without emulators: p50 {quantile(warm, 0.5):,.0f} ms, "
        f"p99 {quantile(warm, 0.99):,.0f} ms; a target {quantile(warm, 0.5) / soak.targets:.2f} ms"
    )
    names = ("decisions", "changes", "opened", "frozen", "wake_ups", "duplicates", "conflicts")
    print("  " + ", ".join(f"{name.replace('_', ' ')} {soak.totals[name]:,}" for name in names))
    print(
        f"  memory {last.rss_bytes / 2**20:,.0f} MiB, checkpoints {last.checkpoint_bytes_mean:,.0f} bytes, "
        f"document {last.document_bytes_max:,.0f} bytes"
    )
    written = sum(sample.journal_bytes for sample in soak.samples)
    print(f"  journal {written / soak.targets / days / 1_024:,.1f} KiB a target and day")
    print(f"\n  {'check':<50}{'measured':>14}{'limit':>16}")
    for check in checks:
        sign = "at least " if check.least else ""
        limit = f"{sign}{check.limit:,.4g} {check.unit}"
        print(f"  {check.name:<50}{check.measured:>14,.4g}{limit:>20}   {'holds' if check.ok else 'FAILS'}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--days", type=float, default=0.25, help="simulated days")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="file to save the run to and take it up from")
    parser.add_argument("--wall-min", type=float, default=0.0, help="stop after so many real minutes")
    parser.add_argument("--report", action="store_true", help="only judge what --state holds so far")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="live it in N processes")
    parser.add_argument("--part", type=part_of, default=WHOLE, metavar="K/N", help=argparse.SUPPRESS)
    parser.add_argument("--storm", type=int, default=0, metavar="EVENTS", help="the alarm storm instead")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    asked = parser.parse_args()
    if asked.workers > 1 and asked.state is None:
        parser.error("--workers needs --state: the processes meet in what they save")
    if not 1 <= max(asked.workers, asked.part.of) <= -(-asked.targets // INSTALLATION_TARGETS):
        parser.error(
            f"{asked.targets} targets are {-(-asked.targets // INSTALLATION_TARGETS)} installations: "
            "not more workers than that, and at least one"
        )
    return asked


def lived(asked: argparse.Namespace, part: Part) -> Soak:
    """Return the run, or its part, lived as far as was asked for."""
    soak = Soak(asked.targets, round(asked.days * DAY_MIN), asked.seed, part=part)
    state = None if asked.state is None else state_of(asked.state, part)
    if state is not None and state.exists():
        soak.restore(state)
    begun_s = time.monotonic()

    def progress(run: Soak) -> None:
        spent_s = time.monotonic() - begun_s
        done = f"part {part}, minute {run.next_minute:,} of {run.minutes:,}"
        print(f"{done}, {spent_s:,.0f} s, {time.process_time():,.0f} s CPU", file=sys.stderr, flush=True)
        if state is not None:
            run.save(state)

    def stop() -> bool:
        return bool(asked.wall_min) and time.monotonic() - begun_s > 60.0 * asked.wall_min

    if not asked.report:
        soak.run(until=soak.minutes, progress=progress, stop=stop)
        if state is not None:
            soak.save(state)
    return soak


def told(runs: list[Soak], *, as_json: bool) -> list[int]:
    """Judge runs, or the parts of one, print the verdict, return an exit code each."""
    codes, rows = [], []
    for soak in runs:
        try:
            checks = judge(soak.samples, soak.ticks, soak.facts())
        except ValueError as error:
            print(f"inconclusive: {error}", file=sys.stderr)
            codes.append(INCONCLUSIVE)
            continue
        codes.append(0 if all(check.ok for check in checks) else 1)
        rows += [{"part": str(soak.part), **check._asdict(), "ok": check.ok} for check in checks]
        if not as_json:
            print_report(soak, checks)
    if as_json and rows:
        print(json.dumps({"schema": SCHEMA, "checks": rows}, indent=1))
    return codes


def main() -> int:
    """Run, print, judge."""
    asked = arguments()
    if asked.storm:
        return print_storm(storm(asked.storm, targets=asked.targets, seed=asked.seed))
    wanted, to_the_end = [asked.part], False
    if asked.workers > 1 and asked.part.of == 1:
        wanted, to_the_end = parts(asked.workers), not (asked.report or asked.wall_min)
        if not asked.report:
            live_together(Path(__file__), sys.argv[1:], asked.workers)
        asked.report = True
    runs = [lived(asked, part) for part in wanted]
    codes = told(runs, as_json=asked.format == "json")
    for soak in runs:
        if to_the_end and soak.next_minute < soak.minutes:
            print(f"part {soak.part} broke off: the same command takes it up again", file=sys.stderr)
            codes.append(1)
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
