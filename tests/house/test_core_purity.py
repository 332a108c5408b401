"""The core's rules as tests: no clock, no I/O, only arithmetic that every platform agrees on.

Bit-equal runs on any machine need + - x / sqrt and comparisons only; anything
else (powers, transcendental functions, sum over floats, rounding to digits) may
differ in the last bit between platforms, Python versions or compilers.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted((ROOT / "controller" / "flyball_controller" / "core").glob("*.py"))
ALLOWED_IMPORTS = {"__future__", "typing", "enum", "math", "flyball.records", "flyball.errors"}
ALLOWED_MATH = {"sqrt"}
BANNED_CALLS = {"sum", "round", "min", "max", "pow", "open", "print", "eval", "exec", "input", "hash", "id"}


def problems_in(source: str) -> list[str]:
    """Return every breach of the rules in a module's source."""
    found = []
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            found += [f"{line}: import {a.name}" for a in node.names if a.name not in ALLOWED_IMPORTS]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "math":
                found += [f"{line}: math.{a.name}" for a in node.names if a.name not in ALLOWED_MATH]
            elif module not in ALLOWED_IMPORTS and not module.startswith("flyball_controller.core"):
                found.append(f"{line}: from {module}")
        elif isinstance(node, ast.Global | ast.Nonlocal):
            found.append(f"{line}: global state")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            found.append(f"{line}: ** is pow() in one execution and a product in the other")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            found.append(f"{line}: {node.func.id}()")
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.stem)
def test_the_core_is_pure(path):
    """C2: one breach and a replay may differ from production."""
    assert problems_in(path.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    ["import time", "from datetime import datetime", "x = y ** 2", "from math import exp", "z = sum([1.0])",
     "def f():\n    global q\n", "m = min(a, b)", "print(1)"],
)  # fmt: skip
def test_the_check_sees_planted_breaches(planted):
    """A check that cannot fail proves nothing."""
    assert problems_in(planted)
