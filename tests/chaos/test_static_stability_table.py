"""The table of docs/reference/static-stability.md: nine parts, three ways to be ill, one test each."""

from __future__ import annotations

import ast
import re
from itertools import product
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "reference" / "static-stability.md"
PARTS = (
    "controller",
    "DynamoDB",
    "AppConfig",
    "Agent",
    "CloudWatch",
    "Firehose",
    "probe",
    "EventBridge",
    "override",
)
KINDS = ("killed", "slow", "corrupt")
ROW = re.compile(r"^\| (\w+) \| (\w+) \| (.+) \| (.+) \| `(test_\w+)` \|$")


def rows() -> list[tuple[str, ...]]:
    """The table's rows: part, kind, clients, controller, test."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ") and "`test_" in line]
    matched = [ROW.match(line) for line in lines]
    assert all(matched), [line for line, match in zip(lines, matched, strict=True) if not match]
    return [match.groups() for match in matched if match]


def functions_of_rows() -> list[str]:
    """Names of the tests that are rows: they begin with a part and a kind."""
    begins = tuple(f"test_{part.lower()}_{kind}_" for part, kind in product(PARTS, KINDS))
    trees = [ast.parse(path.read_text()) for path in sorted(HERE.glob("test_stability_*.py"))]
    functions = [node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name for name in functions if name.startswith(begins)]


def test_each_part_is_killed_slowed_and_corrupted():
    """A part that is missing is one that nobody has thought about."""
    assert sorted(row[:2] for row in rows()) == sorted(product(PARTS, KINDS))


def test_every_row_names_its_test_and_every_test_its_row():
    """A promise without a test is a hope; a test without a row is a promise that nobody hears of."""
    named = [row[4] for row in rows()]
    assert len(set(named)) == len(named)
    assert sorted(named) == sorted(functions_of_rows())
    for part, kind, _, _, name in rows():
        assert name.startswith(f"test_{part.lower()}_{kind}_")
