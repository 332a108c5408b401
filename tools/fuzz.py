"""Long fuzzing of every parser, in turns that a ledger keeps; the table for docs/reference/security.md.

    python tools/fuzz.py run --inputs 1000000 --ledger fuzz.jsonl        # goes on where the ledger ends
    python tools/fuzz.py run --inputs 20000 --seed 7 --door events       # one parser, one seed
    python tools/fuzz.py report fuzz.jsonl                               # the table of all ledgers given
    python tools/fuzz.py keep                                            # learned inputs into the corpus

A turn puts about 100,000 inputs through all doors, each its share (tests/fuzz/doors.py).
A batch is its door, seed and number of inputs; with the same code it is the same inputs
again. Failures are printed with the smallest input that still fails. Exit code 1 if
there is one, or if memory grows from turn to turn.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT / name) for name in ("tests", "client", "controller", "handlers", "analytics", "local")
]

TURN = 100_000
# Resident memory after the second turn and at the end; caches of the parsers are full by then.
GROWTH_MB_MAX = 64
SCHEMA = 1


def resident_mb() -> float:
    """Return the resident memory of this process, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError):
        return 0.0
    return pages * 4096 / 2**20


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def entries(ledger: Path) -> Iterator[dict[str, Any]]:
    """Yield the batches in a ledger; a last line that was cut off by a kill is left out."""
    if not ledger.exists():
        return
    for line in ledger.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("schema") == SCHEMA:
            yield entry


def next_seed(ledger: Path | None, door: str, seed: int) -> int:
    """Return the first seed of a door that the ledger does not hold, at least `seed`."""
    seen = [e["seed"] for e in entries(ledger) if e["door"] == door] if ledger else []
    return max([seed, *(s + 1 for s in seen)])


def _entry(door: str, seed: int, outcome: Any, cpu_s: float, commit: str) -> dict[str, Any]:
    failures = [
        {
            "law": failure.law,
            "what": failure.what,
            "input": base64.b64encode(failure.case).decode() if isinstance(failure.case, bytes) else None,
            "shown": ascii(failure.case)[:2_000],
        }
        for failure in outcome.failures
    ]
    return {
        "schema": SCHEMA,
        "door": door,
        "seed": seed,
        "inputs": outcome.inputs,
        "outcomes": len(outcome.words),
        "lines": outcome.lines,
        "learned": len(outcome.learned),
        "failures": failures,
        "cpu_s": round(cpu_s, 3),
        "memory_mb": round(resident_mb(), 1),
        "commit": commit,
    }


def run(inputs: int, seed: int, doors: Sequence[str], ledger: Path | None, seconds: float) -> int:
    """Run turns until so many inputs are done or the time is over; return the exit code."""
    from fuzz.doors import SHARES, all_doors
    from fuzz.engine import run_batch

    if ledger:
        ledger.parent.mkdir(parents=True, exist_ok=True)
    names = list(doors) or list(SHARES)
    share = {name: SHARES[name] for name in names} if not doors else dict.fromkeys(names, TURN // len(names))
    seeds = {name: next_seed(ledger, name, seed) for name in names}
    commit, done, failed = _commit(), 0, 0
    begun_s = time.monotonic()
    memory: list[float] = []
    while done < inputs and time.monotonic() - begun_s < seconds:
        for name in names:
            cpu_s = time.process_time()
            wanted = min(share[name], max(1, inputs - done))
            outcome = run_batch(all_doors()[name], seeds[name], wanted)
            entry = _entry(name, seeds[name], outcome, time.process_time() - cpu_s, commit)
            if ledger:
                with ledger.open("a") as file:
                    file.write(json.dumps(entry) + "\n")
            for failure in entry["failures"]:
                print(f"{name}, seed {seeds[name]}: {failure['what']}\n  {failure['shown']}")
            failed += len(entry["failures"])
            seeds[name] += 1
            done += outcome.inputs
        memory.append(resident_mb())
        print(f"\r{done} inputs, {failed} failures, {memory[-1]:.0f} MB", end="", file=sys.stderr)
    print(file=sys.stderr)
    growth_mb = memory[-1] - memory[1] if len(memory) > 2 else 0.0
    if growth_mb > GROWTH_MB_MAX:
        print(f"memory grew by {growth_mb:.0f} MB over {len(memory)} turns; {GROWTH_MB_MAX} are allowed")
    print(f"{done} inputs, {failed} failures, {len(memory)} turns, memory {growth_mb:+.0f} MB")
    return 1 if failed or growth_mb > GROWTH_MB_MAX else 0


def keep(inputs: int, bytes_max: int) -> int:
    """Write what a batch of each door learned into the corpus: one input per outcome, the shortest first."""
    from fuzz.doors import LEARNED, all_doors, as_line
    from fuzz.engine import judge, run_batch

    LEARNED.mkdir(parents=True, exist_ok=True)
    for name, door in all_doors().items():
        known = {judge(door, case)[0] for case in door.seeds()}
        lines, size = [], 0
        for case in sorted(run_batch(door, 0, inputs).learned, key=lambda case: len(as_line(case))):
            word, failure = judge(door, case)
            line = as_line(case)
            if failure is None and word not in known and size + len(line) < bytes_max:
                known.add(word)
                lines.append(line)
                size += len(line) + 1
        with (LEARNED / f"{name}.jsonl").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        print(f"{name}: {len(lines)} inputs, {size} bytes")
    return 0


def report(ledgers: Sequence[Path]) -> int:
    """Print what ledgers hold, by door; return 1 if a batch failed."""
    inputs: Counter[str] = Counter()
    cpu_s: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for ledger in ledgers:
        for entry in entries(ledger):
            door = entry["door"]
            inputs[door] += entry["inputs"]
            cpu_s[door] += entry["cpu_s"]
            failures[door] += len(entry["failures"])
            lines[door] = max(lines[door], entry["lines"])
    print("| door | inputs | lines reached | microseconds each | failures |\n|---|---:|---:|---:|---:|")
    for door in sorted(inputs):
        each = 1e6 * cpu_s[door] / inputs[door]
        print(f"| {door} | {inputs[door]:,} | {lines[door]} | {each:.0f} | {failures[door]} |")
    each = 1e6 * cpu_s.total() / max(1, inputs.total())
    print(f"| all | {inputs.total():,} | | {each:.0f} | {failures.total()} |")
    return 1 if failures.total() else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands: Any = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="fuzz")
    running.add_argument("--inputs", type=int, default=TURN)
    running.add_argument("--seed", type=int, default=0, help="first seed of each door")
    running.add_argument("--door", action="append", default=[], help="only this one (may be repeated)")
    running.add_argument("--ledger", type=Path, help="JSON lines; appended to, and gone on from")
    running.add_argument(
        "--seconds", type=float, default=float("inf"), help="end after the turn then under way"
    )
    reporting = commands.add_parser("report", help="print the table of ledgers")
    reporting.add_argument("ledgers", type=Path, nargs="+")
    keeping = commands.add_parser("keep", help="add what a batch of each door learned to the corpus")
    keeping.add_argument("--inputs", type=int, default=4_000)
    keeping.add_argument("--bytes", type=int, default=3_500, help="of each door, at most")
    given = parser.parse_args(arguments)
    if given.command == "keep":
        return keep(given.inputs, given.bytes)
    if given.command == "report":
        return report(given.ledgers)
    from fuzz.doors import SHARES

    unknown = [name for name in given.door if name not in SHARES]
    if unknown:
        parser.error(f"there is no door {unknown[0]!r}; there are {', '.join(SHARES)}")
    warnings.simplefilter("ignore")
    return run(given.inputs, given.seed, given.door, given.ledger, given.seconds)


if __name__ == "__main__":
    sys.exit(main())
