"""The threat table is true: every row names tests, and every named test exists."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "security.md"
NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
# What the table must speak of, by a word that stands in its first column.
ASKED = (
    *("forged alarm", "replayed event", "configuration injection", "open a circuit", "over-broad roles"),
    *("log injection", "secrets in logs", "decompression bomb", "dependency confusion", "YAML bomb"),
    *("pickle", "cache of compiled code", "HTML injection", "formula injection", "path traversal"),
    *("another account or region", "kill switch", "poisoned baseline", "event flood"),
)


def rows(text: str) -> list[list[str]]:
    """Return the cells of each row of the threat table."""
    table = text.split("<!-- threats -->")[1].split("<!-- /threats -->")[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


@cache
def named_in(path: Path) -> set[str]:
    """Return the names of the tests in a file, those of classes included; none if it is not there."""
    if not path.exists():
        return set()
    return {n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)}


def missing(text: str) -> list[str]:
    """Return the tests that a text names and that do not exist."""
    return [
        f"{file}::{name}" for file, name in NAMED.findall(text) if name not in named_in(ROOT / "tests" / file)
    ]


def test_every_threat_has_a_control_and_tests_that_exist() -> None:
    """A control without a test is an intention."""
    found = rows(PAGE.read_text())
    for threat, control, tests in found:
        assert control, threat
        assert NAMED.findall(tests), threat
        assert "`" not in NAMED.sub("", tests), f"{threat}: not every test is written as file.py::test_name"
    assert missing(PAGE.read_text()) == []
    for word in ASKED:
        assert any(word in threat for threat, _, _ in found), word


@pytest.mark.parametrize("named", ["security/test_docs.py::test_that_is_not_there", "no/such.py::test_x"])
def test_a_test_that_is_not_there_is_seen(named: str) -> None:
    """The check above can fail."""
    assert missing(f"| a | b | `{named}` |") == [named]


def test_every_exception_from_the_rules_of_bandit_has_its_reason() -> None:
    """Switched-off rules stay switched off; who wonders why should find it where it was done."""
    source = (ROOT / "pyproject.toml").read_text()
    lint = tomllib.loads(source)["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    for line in source.splitlines():
        if re.search(r'"S\d+"', line):
            assert "#" in line, line
    for root in ("client", "controller", "handlers", "analytics"):
        for path in (ROOT / root).rglob("*.py"):
            for found in re.finditer(r"# noqa: S\d+(.*)", path.read_text()):
                assert re.fullmatch(r" - .{3,}", found[1]), f"{path.relative_to(ROOT)}: {found[0]}"
