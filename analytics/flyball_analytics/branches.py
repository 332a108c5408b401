"""Which branches of the control law a suite of scenarios has taken, and which nobody ever took.

A branch is one side of an `if` (or of a conditional loop) in the law's source.
The tracer watches the lines that run inside those functions and nowhere else,
and is on only while the controller decides, so that a whole suite costs a few
per cent. It uses `sys.settrace`, the one hook that every supported Python has;
a debugger or coverage tool that was there before gets it back afterwards.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import lru_cache
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, NamedTuple

from flyball_controller.core import retry_law

WATCHED: tuple[ModuleType, ...] = (retry_law,)
_EXIT = -1  # the "line" at which a function is left


class Branch(NamedTuple):
    """One side of one condition."""

    module: str
    function: str
    line: int
    condition: str
    taken: bool

    @property
    def key(self) -> str:
        """Name of the branch within one version of the source."""
        return f"{self.module}:{self.line}:{'yes' if self.taken else 'no'}"

    @property
    def words(self) -> str:
        """What a person reads.

        >>> Branch("retry_law", "_dead", 7, "per_minute > 0", False).words
        'retry_law.py:7 _dead: not (per_minute > 0)'
        """
        condition = self.condition if self.taken else f"not ({self.condition})"
        return f"{self.module}.py:{self.line} {self.function}: {condition}"


class _Test(NamedTuple):
    """Where a condition stands, and where its yes side begins."""

    first: int
    last: int
    body: int
    yes: str
    no: str


@lru_cache(maxsize=1)
def all_branches() -> tuple[Branch, ...]:
    """Return every branch of the watched modules, in order of the source."""
    found: list[Branch] = []
    for module in WATCHED:
        name = module.__name__.rpartition(".")[2]
        for function in _functions(module):
            for node in _conditions(function):
                condition = ast.unparse(node.test)
                place = (name, function.name, node.lineno, condition)
                found += [Branch(*place, True), Branch(*place, False)]
    return tuple(found)


def _functions(module: ModuleType) -> list[ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(module))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _conditions(function: ast.FunctionDef) -> list[ast.If | ast.While]:
    found = [node for node in ast.walk(function) if isinstance(node, ast.If | ast.While)]
    return sorted(found, key=lambda node: node.lineno)


@lru_cache(maxsize=1)
def _tests() -> dict[tuple[str, str], tuple[_Test, ...]]:
    """Return the conditions of each watched function, by (file, function name)."""
    tests: dict[tuple[str, str], tuple[_Test, ...]] = {}
    for module in WATCHED:
        name = module.__name__.rpartition(".")[2]
        file = inspect.getsourcefile(module) or ""
        for function in _functions(module):
            tests[(file, function.name)] = tuple(
                _Test(
                    node.test.lineno,
                    node.test.end_lineno or node.test.lineno,
                    node.body[0].lineno,
                    Branch(name, function.name, node.lineno, "", True).key,
                    Branch(name, function.name, node.lineno, "", False).key,
                )
                for node in _conditions(function)
            )
    return tests


class BranchTracer:
    """Notes the branches taken while it is entered; may be entered again and again."""

    def __init__(self) -> None:
        self._tests: dict[CodeType, tuple[_Test, ...] | None] = {}
        self._arcs: dict[CodeType, set[tuple[int, int]]] = {}
        self._before: Any = None

    def __enter__(self) -> BranchTracer:
        self._before = sys.gettrace()
        sys.settrace(self._on_call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if code not in self._tests:
            # Older interpreters run comprehensions as functions of their own: they are not in the table.
            self._tests[code] = _tests().get((code.co_filename, code.co_name))
        if self._tests[code] is None:
            return None
        arcs = self._arcs.setdefault(code, set())
        previous = frame.f_lineno

        def on_line(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal previous
            if event == "line":
                arcs.add((previous, frame.f_lineno))
                previous = frame.f_lineno
            elif event == "return":
                arcs.add((previous, _EXIT))
            return on_line

        return on_line

    @property
    def reached(self) -> frozenset[str]:
        """Keys of the branches taken so far."""
        found: set[str] = set()
        for code, arcs in self._arcs.items():
            for test in self._tests[code] or ():
                for origin, target in arcs:
                    if not test.first <= origin <= test.last or test.first <= target <= test.last:
                        continue
                    found.add(test.yes if target == test.body else test.no)
        return frozenset(found)
