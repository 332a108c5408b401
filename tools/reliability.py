"""Long runs of the simulation and of the protocol's model; tables for docs/reference/reliability.md.

    python tools/reliability.py simulate --schedules 40000 --first 0 --workers 2
    python tools/reliability.py simulate --ledger FILE --minutes 60   # on, from where the file ends
    python tools/reliability.py --report FILE              # all that the file holds, as tables
    python tools/reliability.py release --ledger FILE      # whether these sources have a million behind them
    python tools/reliability.py simulate --first 1394 --schedules 1        # one seed again
    python tools/reliability.py replay "seed=... | step step ..."          # a schedule as it was printed
    python tools/reliability.py model --size long

Tables go to stdout, progress to stderr. Exit code 1 if a law was broken or a way
was not gone often enough (`release`: 4 if there are not enough schedules yet). A
failing seed is printed with the smallest schedule that still fails. Rates are those
of this machine at this time.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / name) for name in ("tests", "client", "controller", "handlers", "analytics", "local", "tools")
]

import reliability_sources  # noqa: E402
from reliability_ledger import Batch, LedgerError, Sum, added, append, missing, once, read, read_all  # noqa: E402

BATCH = 50
RELEASE = 1_000_000  # schedules that a release has behind it, all of them run on its own sources
ONE_IN = 400  # each rare way is gone by one schedule in so many: a hundred of 40,000
READER_GONE = 141  # as a shell tells of a program that wrote into a pipe which nobody reads any more
INFINITE = float("inf")


@cache
def _settle_memory() -> None:
    """Once per process: what was imported is never garbage, and a run makes much that is none either."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run_batch(seeds: Sequence[int]) -> Sum:
    """Run some seeds."""
    from simulation.schedule import draw
    from simulation.speed import remembering
    from simulation.world import run

    warnings.simplefilter("ignore")  # schedules publish what clients must not obey, and say so
    _settle_memory()
    begun_s = time.process_time()
    reached: Counter[str] = Counter()
    table: Counter[tuple[str, str]] = Counter()
    rounds = calls = quiet_max = 0
    simulated_s, failures = 0.0, []
    with remembering():  # one memory for all
        for seed in seeds:
            result = run(draw(seed))
            reached.update(result.reached.keys())
            table.update(result.table)
            rounds, calls = rounds + result.rounds, calls + result.calls
            simulated_s += result.simulated_s
            quiet_max = max(quiet_max, result.quiet_min)
            if result.violations:
                first = result.violations[0]
                failures.append((seed, f"{first.law}: {first.what}"))
    cpu_s = time.process_time() - begun_s
    return Sum(len(seeds), rounds, calls, simulated_s, quiet_max, cpu_s, reached, table, failures)


def simulate(
    batches: Iterable[range], *, workers: int, minutes: float = INFINITE, ledger: Path | None = None
) -> Sum:
    """Run batches of seeds in several processes; each that is finished is written to the ledger at once."""
    begun_s = time.monotonic()
    commit, sources = (_commit(), _sources()) if ledger else ("", "")
    stamps = _stamps() if ledger else ()
    sums: list[Sum] = []

    def until_time_is_up() -> Iterator[range]:
        for batch in batches:
            if time.monotonic() - begun_s > 60.0 * minutes:
                return
            room.acquire()  # the pool would take all of them at once
            yield batch

    room = threading.Semaphore(2 * workers)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for seeds, one in pool.imap_unordered(_numbered_batch, until_time_is_up()):
            room.release()
            sums.append(one)
            if ledger:
                _check_stamps(stamps)
                append(ledger, Batch(seeds[0], seeds[-1], commit, one, sources))
            done = sum(part.schedules for part in sums)
            took_s = time.monotonic() - begun_s
            print(f"\r{done} schedules, {done / took_s:.1f} per second", end="", file=sys.stderr)
    print(file=sys.stderr)
    return added(sums)


def _numbered_batch(seeds: range) -> tuple[range, Sum]:
    return seeds, run_batch(seeds)


def _commit() -> str:
    """Return the commit that runs, with "+" if what a schedule runs differs from it."""
    head = _git("rev-parse", "--short=12", "HEAD").strip()
    if not head:
        return "unknown+"
    files = {path.relative_to(ROOT).as_posix() for path in reliability_sources.sources()}
    folders = {name.rpartition("/")[0] for name in files}
    changes = _git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all").split("\0")
    for state, name in ((change[:2], change[3:]) for change in changes if change):
        # What was deleted is no source any more, and may have been one.
        if name in files or ("D" in state and name.rpartition("/")[0] in folders):
            return f"{head}+"
    return head


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    return done.stdout


def _sources() -> str:
    """Return the digest of what a schedule runs."""
    return reliability_sources.digest()


def _stamps() -> tuple[tuple[int, int], ...]:
    """Return what changes when one of these files is written."""
    found = (path.stat() if path.exists() else None for path in _files())
    return tuple((one.st_mtime_ns, one.st_size) if one else (0, -1) for one in found)


def _check_stamps(stamps: tuple[tuple[int, int], ...]) -> None:
    if _stamps() != stamps:  # some processes may have imported what was, others what is
        raise LedgerError("the sources changed while they ran; this batch is not logged: begin again")


@cache
def _files() -> tuple[Path, ...]:
    return tuple(reliability_sources.sources())


def _verdict(total: Sum, least: int) -> int:
    missed = _print_reached(total, least)
    for seed, what in total.failures[:10]:
        _print_failure(seed, what)
    return 1 if total.failures or missed else 0


def report(path: Path, least: int) -> int:
    """Print what a ledger holds; return the exit code."""
    batches = read(path)
    if not batches:
        print(f"{path}: holds no finished batch; simulate --ledger {path} writes some", file=sys.stderr)
        return 4
    print("| sources | commit | schedules | with a broken law |\n|---|---|---:|---:|")
    for of in dict.fromkeys((batch.sources, batch.commit) for batch in batches):
        of_it = added([batch.total for batch in batches if (batch.sources, batch.commit) == of])
        print(f"| {of[0] or 'not noted'} | {of[1]} | {of_it.schedules} | {len(of_it.failures)} |")
    total = added([batch.total for batch in batches])
    print()
    _print_sum(total)
    missed = _print_reached(total, least if least >= 0 else total.schedules // ONE_IN)
    for seed, what in total.failures:
        print(f"seed {seed}: {what}")
    return 1 if total.failures or missed else 0


def release(ledgers: Sequence[Path], schedules: int = RELEASE) -> int:
    """Print whether ledgers allow a release of the present commit; return the exit code.

    What ran other sources, or some that were not committed, says nothing of this one; a commit
    that changes none of them (documentation) keeps what stands. Seeds that stand twice count
    once; a law that these sources broke counts wherever it stands.
    """
    commit, sources = _commit(), _sources()
    batches = [batch for ledger in ledgers for batch in read_all(ledger)]
    dirty = commit.endswith("+")
    of_it = [b for b in batches if b.sources == sources and not b.commit.endswith("+") and not dirty]
    total = added([batch.total for batch in once(of_it)])
    failures = sorted({f for batch in batches if batch.sources == sources for f in batch.total.failures})
    missed = _missed(total, max(1, -(-schedules // ONE_IN)))
    came = f"{total.schedules} of {schedules} schedules, {len(failures)} with a broken law"
    print(f"commit {commit}, sources {sources}: {came}")
    print(f"run on commits: {', '.join(sorted({batch.commit for batch in of_it})) or 'none'}")
    others = sum(batch.total.schedules for batch in batches) - sum(batch.total.schedules for batch in of_it)
    if others:
        print(f"{others} schedules of other sources or of some that were not committed do not count")
    if dirty:
        print("what a schedule runs differs: commit or undo the changes, for a release is a commit")
    for way, count in missed:
        print(f"rare way {way!r}: {count} of {-(-schedules // ONE_IN)} schedules")
    for seed, what in failures:
        print(f"seed {seed}: {what}")
    if failures:
        print("a law was broken: no release")
        return 1
    if total.schedules < schedules or missed:
        print(f"not enough yet: {_command_for(ledgers[0], schedules - total.schedules)}")
        return 4
    print("every schedule is logged, each rare way gone, no law broken")
    return 0


def _command_for(ledger: Path, schedules: int) -> str:
    more = max(schedules, BATCH)
    return f"python tools/reliability.py simulate --ledger {ledger} --schedules {more}"


def _missed(total: Sum, least: int) -> list[tuple[str, int]]:
    from simulation.rare import RARE

    return [(way, total.reached[way]) for way in RARE if total.reached[way] < least]


def _print_sum(total: Sum) -> None:
    faults = sum(count for (fault, _), count in total.table.items() if fault != "none")
    print(f"{total.schedules} schedules: {len(total.failures)} with a broken law")
    print(
        f"{total.rounds} rounds, {total.calls} calls, {faults} faults, "
        f"{total.simulated_s / 86_400.0:.1f} simulated days; longest recovery {total.quiet_max} min"
    )
    print(f"{1e3 * total.cpu_s / max(1, total.schedules):.1f} ms CPU each")
    print("\n| fault | outcome | count |\n|---|---|---:|")
    for (fault, outcome), count in sorted(total.table.items()):
        print(f"| {fault} | {outcome} | {count} |")


def _print_reached(total: Sum, least: int) -> list[str]:
    print("\n| rare way | schedules |\n|---|---:|")
    for way in sorted(total.reached):
        print(f"| {way} | {total.reached[way]} |")
    missed = [way for way, _ in _missed(total, least)]
    if missed:
        print(f"\nnot gone in {least} schedules: {', '.join(missed)}")
    return missed


def _print_failure(seed: int, what: str) -> None:
    from simulation.schedule import Schedule, draw, shrink
    from simulation.world import run

    law = what.split(":")[0]

    def fails(schedule: Schedule) -> bool:
        return any(violation.law == law for violation in run(schedule).violations)

    print(f"\nseed {seed}: {what}\nsmallest: {shrink(draw(seed), fails).tell()}")


def replay(text: str) -> int:
    """Run one schedule as it was printed; return the exit code."""
    from simulation.schedule import read_back
    from simulation.world import run

    result = run(read_back(text))
    for violation in result.violations:
        print(violation)
    print(f"{len(result.violations)} broken laws; recovered after {result.quiet_min} min")
    return 1 if result.violations else 0


def model(size: str, traces: int) -> int:
    """Explore the protocol's model, let it catch its planted bugs, hold traces against it; the exit code."""
    from model.run import report

    return report(size, traces=traces)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--report", type=Path, metavar="LEDGER", help="print what a ledger holds")
    commands: Any = parser.add_subparsers(dest="command")
    simulated = commands.add_parser("simulate", help="run seeds of the simulation")
    simulated.add_argument("--schedules", type=int, default=40_000)
    simulated.add_argument("--first", type=int, default=0, help="first seed")
    simulated.add_argument("--workers", type=int, default=2)
    simulated.add_argument("--minutes", type=float, default=INFINITE, help="begin no batch after this long")
    simulated.add_argument("--ledger", type=Path, help="write each finished batch here; go on where it ends")
    simulated.add_argument("--least", type=int, default=-1, help="schedules that must go each rare way")
    replayed = commands.add_parser("replay", help="run one schedule as it was printed")
    replayed.add_argument("schedule")
    released = commands.add_parser("release", help="whether the present commit may be released")
    released.add_argument("--ledger", type=Path, action="append", required=True, help="once for each file")
    released.add_argument("--schedules", type=int, default=RELEASE, help="that must be logged")
    modelled = commands.add_parser("model", help="explore the protocol's model")
    modelled.add_argument("--size", choices=("short", "long"), default="long")
    modelled.add_argument("--traces", type=int, default=1_000, help="runs of the code to hold against it")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    try:
        if given.report:
            return report(given.report, -1)
        if given.command == "simulate":
            return _simulate(given)
        if given.command == "release":
            return release(given.ledger, given.schedules)
    except LedgerError as error:
        print(error, file=sys.stderr)
        return 2
    if given.command is None:
        parser.print_usage(sys.stderr)
        return 2
    return replay(given.schedule) if given.command == "replay" else model(given.size, given.traces)


def _simulate(given: argparse.Namespace) -> int:
    known = read(given.ledger) if given.ledger else []
    first = min([batch.first for batch in known], default=given.first)
    size = min(BATCH, given.schedules)
    batches = islice(missing(known, first=first, size=size), -(-given.schedules // size))
    total = simulate(batches, workers=given.workers, minutes=given.minutes, ledger=given.ledger)
    _print_sum(total)
    # A hundred of each in the 40,000 of a release; runs of a few seeds are for looking.
    return _verdict(total, given.least if given.least >= 0 else total.schedules // ONE_IN)


def _until_nobody_reads() -> int:
    """Run; a reader that has seen enough (`| head`) is no error that a user must read."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is written at the end
        return READER_GONE
    return code


if __name__ == "__main__":
    sys.exit(_until_nobody_reads())
