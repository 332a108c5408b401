"""Mutation testing of the decision core: change one thing in it, and see whether a test fails.

The mutants are those of mutmut's operators; its runner is not used, since it starts
pytest and collects anew for each of five thousand mutants (ten seconds each, two
thirds of a day). Here tests are collected once; each mutant is a fork in which the
code of one function is replaced in place, and in which the tests that reach this
function run until one fails: first those that failed most often, for their time, under
the changes of the same function. Times are of the processor, so that a busy machine
changes no verdict; what runs ten times as long as without the change counts as timed out.

A ledger (JSON lines) keeps every verdict under a digest of the function and the change,
so that a stopped run goes on, and only changed functions run again. `--report` prints
the table of docs/reference/mutants.md and the survivors that nobody has argued for.

Run: make mutants, or python tools/mutants.py [MODULE ...] [--ledger FILE] [--all] [--report]
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import importlib
import json
import os
import signal
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "controller" / "flyball_controller" / "core"
PACKAGE = "flyball_controller.core"
ARGUED = ROOT / "tests" / "mutants_argued.json"
TESTS = (
    "tests/unit/core",
    "tests/unit/probes/test_probed.py",
    "tests/unit/controller/test_codec.py",
    "tests/unit/controller/test_operate.py",
    "tests/unit/thresholds/test_laws_in_histories.py",
    "tests/unit/why/test_why.py",
    "tests/properties",
    "--ignore=tests/unit/core/test_mutants_tool.py",
)
# Slower tests, and those that this much time is up for, are left to --all: a survivor
# costs the time of every test that reaches it.
QUICK_S = 1.0
BUDGET_S = 8.0
NEVER_FAILED = 0.1  # failures that a test starts with, so that quick ones go first at the start
STUCK_S = 3.0  # and ten times what the test takes: an endless loop
KILLED, SURVIVED, TIMED_OUT, UNTESTED = "killed", "survived", "timed out", "no test"
ARGUED_EQUAL, NOT_RUN = "argued", "not run"
COLUMNS = (KILLED, TIMED_OUT, ARGUED_EQUAL, SURVIVED, UNTESTED, NOT_RUN)


class Mutant(NamedTuple):
    """One change of one function of the core."""

    module: str
    function: str  # qualified name
    before: str  # source of the function
    source: str  # of the changed function
    change: str  # lines taken out and put in
    digest: str


class Reach(NamedTuple):
    """One test: its place in the collected list, how long it takes, which functions it runs."""

    place: int
    name: str
    seconds: float  # of the processor
    codes: frozenset[str]


def mutants_of(module: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its source."""
    libcst = importlib.import_module("libcst")  # both of the extra `mutation`
    mutmut = importlib.import_module("mutmut.mutation.file_mutation")
    path = CORE / f"{module}.py"
    tree, mutations, *_ = mutmut.create_mutations(str(path), path.read_text("utf-8"))
    owners = {
        id(member): f"{node.name.value}."
        for node in tree.body
        if isinstance(node, libcst.ClassDef)
        for member in node.body.body
    }
    for one in mutations:
        function = one.contained_by_top_level_function
        if not isinstance(function, libcst.FunctionDef):  # a constant: chosen, not derived
            continue
        before = _source(tree, function)
        after = _source(tree, mutmut.deep_replace(function, one.original_node, one.mutated_node))
        change = "\n".join(
            line
            for line in difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
            if not line.startswith(("---", "+++", "@@"))
        )
        name = owners.get(id(function), "") + function.name.value
        digest = hashlib.sha256(f"{module}\n{name}\n{before}\n{after}".encode()).hexdigest()[:16]
        yield Mutant(module, name, before, after, change, digest)


def _source(tree: Any, function: Any) -> str:
    return textwrap.dedent(tree.code_for_node(function)).strip("\n")


def original(mutant: Mutant) -> FunctionType | None:
    """Return the function that a mutant changes; None for what is no plain function."""
    found: Any = importlib.import_module(f"{PACKAGE}.{mutant.module}")
    for part in mutant.function.split("."):
        found = vars(found).get(part)
    if isinstance(found, property):
        found = found.fget
    return found if isinstance(found, FunctionType) else None


def put_in(mutant: Mutant, function: FunctionType) -> None:
    """Replace the code of the function in place: whoever imported it runs the change."""
    scope = dict(function.__globals__)
    exec(compile(f"from __future__ import annotations\n{mutant.source}", "<mutant>", "exec"), scope)  # noqa: S102 - it is what a mutant is
    changed: Any = scope[function.__name__]
    changed = changed.fget if isinstance(changed, property) else changed
    function.__code__ = changed.__code__
    function.__defaults__ = changed.__defaults__
    function.__kwdefaults__ = changed.__kwdefaults__


class Runner:
    """A pytest plugin that runs the collected tests once per mutant instead of once."""

    def __init__(self, mutants: Sequence[Mutant], ledger: Path, *, everything: bool) -> None:
        self.mutants = mutants
        self.ledger = ledger
        self.everything = everything
        self.kills: Counter[tuple[str, str]] = Counter()  # by function and by test
        self.failed = False
        self.error = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure of any phase."""
        if report.failed:
            self.failed, self.error = True, str(report.longrepr)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure what each test reaches, then run the mutants."""
        reaches = [self._measured(place, item) for place, item in enumerate(session.items)]
        by_code: dict[str, list[Reach]] = defaultdict(list)
        for one in reaches:
            for code in one.codes:
                by_code[code].append(one)
        began_s = time.monotonic()
        with self.ledger.open("a", encoding="utf-8") as ledger:
            for number, mutant in enumerate(self.mutants, 1):
                line = self._judged(mutant, by_code, session.items)
                ledger.write(json.dumps(line) + "\n")
                ledger.flush()
                rate = (time.monotonic() - began_s) / number
                print(f"\r{number}/{len(self.mutants)}, {rate:.2f} s each ", end="", file=sys.stderr)
        return True

    def _measured(self, place: int, item: pytest.Item) -> Reach:
        codes: set[str] = set()
        known: dict[CodeType, str | None] = {}

        def note(frame: FrameType, event: str, _: object) -> None:
            code = frame.f_code
            if event == "call" and code not in known:
                inside = code.co_filename.startswith(str(CORE))
                known[code] = f"{Path(code.co_filename).stem}:{code.co_qualname}" if inside else None
                if inside:
                    codes.add(str(known[code]))

        began_s = time.process_time()
        run(item)
        took_s = time.process_time() - began_s
        if took_s <= QUICK_S or self.everything:
            sys.setprofile(note)
            try:
                run(item)
            finally:
                sys.setprofile(None)
        if self.failed:
            raise SystemExit(f"{item.nodeid} fails without any mutant:\n{self.error}")
        return Reach(place, item.nodeid, took_s, frozenset(codes))

    def _judged(
        self, mutant: Mutant, by_code: dict[str, list[Reach]], items: Sequence[pytest.Item]
    ) -> dict[str, object]:
        function = original(mutant)
        reaches = self._ordered(mutant, by_code) if function else []
        line: dict[str, object] = mutant._asdict() | {"verdict": UNTESTED, "tests": len(reaches)}
        del line["before"], line["source"]
        if function is None or not reaches:
            return line
        began_s = time.monotonic()
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            self._die_on_failure(mutant, function, [(one, items[one.place]) for one in reaches], tell)
        os.close(tell)
        _, status = os.waitpid(child, 0)
        name = os.read(told, 500).decode()
        os.close(told)
        if os.WIFSIGNALED(status):
            verdict = TIMED_OUT if os.WTERMSIG(status) == signal.SIGPROF else KILLED
        else:
            verdict = KILLED if os.WEXITSTATUS(status) else SURVIVED
        if name:
            self.kills[mutant.function, name] += 1
        line.update(verdict=verdict, by=name, took_s=round(time.monotonic() - began_s, 2))
        return line

    def _ordered(self, mutant: Mutant, by_code: dict[str, list[Reach]]) -> list[Reach]:
        """Return the tests that reach the function, best first: failures for their time."""
        reaches = by_code.get(f"{mutant.module}:{mutant.function}", [])
        ordered = sorted(
            reaches,
            key=lambda one: one.seconds / (self.kills[mutant.function, one.name] + NEVER_FAILED),
        )
        if self.everything:
            return ordered
        spent_s = list(accumulate(one.seconds for one in ordered))
        return [one for one, until_s in zip(ordered, spent_s, strict=True) if until_s <= BUDGET_S]

    def _die_on_failure(
        self,
        mutant: Mutant,
        function: FunctionType,
        tests: Sequence[tuple[Reach, pytest.Item]],
        tell: int,
    ) -> None:
        code = 1
        try:
            put_in(mutant, function)
            for one, item in tests:
                signal.setitimer(signal.ITIMER_PROF, STUCK_S + 10.0 * one.seconds)
                run(item)
                if self.failed:
                    os.write(tell, one.name.encode())
                    break
            else:
                code = 0
        finally:
            os._exit(code)


def run(item: pytest.Item) -> None:
    """Run one collected test with its fixtures, and undo them."""
    from _pytest.runner import runtestprotocol

    item._initrequest()  # type: ignore[attr-defined]
    runtestprotocol(item, log=True, nextitem=None)


def why_equal(before: str, after: str) -> str | None:
    """Return why no test can tell two forms of a function apart; None if no rule proves it.

    The rules are about ties: of two equal numbers it does not matter which is taken. That
    holds in the core, which has no effects, mixes no numbers of different types, and
    never looks at the sign of a zero.
    """
    changes = list(_changes(ast.parse(before), ast.parse(after), ()))
    if not changes:
        return "the same program, written otherwise"
    if len(changes) > 1:
        return None
    old, new, above = changes[0]
    strictness = {type(old), type(new)} in ({ast.Gt, ast.GtE}, {ast.Lt, ast.LtE})
    if not strictness or len(above) < 2 or not isinstance(above[-1], ast.Compare) or len(above[-1].ops) > 1:
        return None
    left, right = ast.unparse(above[-1].left), ast.unparse(above[-1].comparators[0])
    parent: ast.AST = above[-2]
    test: ast.AST = above[-1]
    if isinstance(parent, ast.IfExp) and parent.test is test:
        sides = {ast.unparse(parent.body), ast.unparse(parent.orelse)}
        if sides == {left, right}:
            return "a tie: either side gives the same value"
        if (
            left.isidentifier()
            and right.isidentifier()
            and sides == {f"{left} - {right}", f"{right} - {left}"}
        ):
            return "a tie: the difference is 0 either way"
    if isinstance(parent, ast.BoolOp) and isinstance(parent.op, ast.And):
        parent, test = above[-3], parent
    if isinstance(parent, ast.If) and parent.test is test and not parent.orelse and len(parent.body) == 1:
        put = parent.body[0]
        sides = {ast.unparse(one) for one in ast.iter_child_nodes(put)}
        if isinstance(put, ast.Assign) and len(put.targets) == 1 and sides == {left, right}:
            return "a tie: a value is replaced by its equal"
    return None


def _changes(
    old: ast.AST, new: ast.AST, above: tuple[ast.AST, ...]
) -> Iterator[tuple[ast.AST, ast.AST, tuple[ast.AST, ...]]]:
    """Yield the smallest pairs of nodes that differ, and what stands above the old one, outermost first."""
    if ast.dump(old) == ast.dump(new):
        return
    olds, news = list(ast.iter_child_nodes(old)), list(ast.iter_child_nodes(new))
    if type(old) is type(new) and len(olds) == len(news) > 0:
        inside = [
            change
            for one, other in zip(olds, news, strict=True)
            for change in _changes(one, other, (*above, old))
        ]
        if inside:
            yield from inside
            return
    yield old, new, above


def read(ledger: Path) -> dict[str, dict[str, Any]]:
    """Return the newest verdict of each mutant by its digest."""
    if not ledger.exists():
        return {}
    lines = (json.loads(line) for line in ledger.read_text("utf-8").splitlines() if line)
    return {line["digest"]: line for line in lines}


def arguments() -> dict[str, str]:
    """Return why nothing can tell some mutants from the original, by digest."""
    return dict(json.loads(ARGUED.read_text("utf-8")))


def report(mutants: Sequence[Mutant], verdicts: dict[str, dict[str, Any]]) -> int:
    """Print table, reasons and survivors without an argument; return how many of those there are.

    An argument for a mutant that a test has killed is wrong, and counts as one.
    """
    argued = arguments()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    open_ones = []
    for one in mutants:
        verdict = verdicts.get(one.digest, {}).get("verdict", NOT_RUN)
        why = argued.get(one.digest) or why_equal(one.before, one.source)
        if why and verdict not in (KILLED, TIMED_OUT):
            verdict = ARGUED_EQUAL
            reasons[why] += 1
        counts[one.module][verdict] += 1
        if verdict in (SURVIVED, UNTESTED) or (why and verdict in (KILLED, TIMED_OUT)):
            open_ones.append((f"argued, but killed: {why}" if why else verdict, one))
    print("| module | mutants | " + " | ".join(COLUMNS) + " |\n|-" + "|-" * (len(COLUMNS) + 1) + "|")
    for module, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        row = " | ".join(str(found[name]) for name in COLUMNS)
        print(f"| `{module}` | {found.total()} | {row} |")
    print("\n| why nothing can tell | mutants |\n|-|-|")
    for why, count in reasons.most_common():
        print(f"| {why} | {count} |")
    for verdict, one in open_ones:
        print(f"\n{one.digest} {one.module}.{one.function}: {verdict}\n{one.change}")
    return len(open_ones)


def main() -> int:
    """Run what has no verdict, or report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", help="of the core; default: all")
    parser.add_argument("--ledger", type=Path, default=ROOT / "dist" / "mutants.jsonl")
    parser.add_argument(
        "--all", action="store_true", help="slow tests too; runs survivors again, and the argued"
    )
    parser.add_argument("--again", action="store_true", help="run survivors again")
    parser.add_argument(
        "--tests", action="append", help="only these test files; a survivor is then theirs alone"
    )
    parser.add_argument("--report", action="store_true", help="print the table and the survivors")
    given = parser.parse_args()
    os.chdir(ROOT)  # where the settings of mutmut are
    names = given.modules or sorted(path.stem for path in CORE.glob("*.py") if path.stem != "__init__")
    mutants = [one for name in names for one in mutants_of(name)]
    verdicts = read(given.ledger)
    if given.report:
        return 1 if report(mutants, verdicts) else 0
    settled = {KILLED, TIMED_OUT} if given.all or given.again else {KILLED, TIMED_OUT, SURVIVED, UNTESTED}
    todo = [one for one in mutants if verdicts.get(one.digest, {}).get("verdict") not in settled]
    if not given.all:
        argued = arguments()
        todo = [one for one in todo if one.digest not in argued and not why_equal(one.before, one.source)]
    given.ledger.parent.mkdir(parents=True, exist_ok=True)
    runner = Runner(todo, given.ledger, everything=given.all)
    os.environ["FLYBALL_HYPOTHESIS"] = "mutants"
    os.environ["CI"] = "true"
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
    return int(pytest.main([*options, *(given.tests or TESTS)], plugins=[runner]))


if __name__ == "__main__":
    raise SystemExit(main())
