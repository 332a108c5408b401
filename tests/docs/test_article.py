"""What practitioners recommend is answered by something that exists, with the numbers that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.article_more_rows import ROWS
from docs.article_rows import Row
from docs.test_commands import problem
from flyball_analytics.assess.hazards import Kind

ROOT = Path(__file__).resolve().parents[2]
ARTICLE = ROOT / "docs" / "article.md"


def rows(text: str) -> dict[str, str]:
    """Return the page's rows by their first cell, without the headings of tables."""
    found: dict[str, str] = {}
    lines = text.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("| ") and not below.startswith("|--"):
            name = line.split("|")[1].strip()
            assert name not in found, f"{name!r} stands there twice"
            found[name] = line
    return found


def lacks(line: str, row: Row) -> list[str]:
    """Return which evidence of a row is not there, or says something else."""
    wrong = [f"no test {test}" for test in row.tests if not has_test(test)]
    wrong += [found for command in row.commands if (found := problem(command))]
    wrong += [f"{name} is no hazard" for name in row.hazards if name not in {kind.value for kind in Kind}]
    wrong += [f"hazard {name} is not named" for name in row.hazards if f"`{name}`" not in line]
    wrong += [f"no file {name}" for name in row.files if not (ROOT / name).exists()]
    for piece, value, claimed in row.says:
        if piece not in line:
            wrong.append(f"{piece!r} is not said")
        if value != claimed:
            wrong.append(f"{piece!r}: the code has {value!r}, not {claimed!r}")
    return wrong


def has_test(name: str) -> bool:
    """Return whether a file of tests has this one."""
    path, _, function = name.partition("::")
    file = ROOT / "tests" / path
    return file.is_file() and re.search(rf"(?m)^(async )?def {function}\(", file.read_text()) is not None


def test_every_row_has_evidence_and_all_evidence_has_its_row():
    """A recommendation without proof, or one that the page forgot, is how such a page begins to lie."""
    page = rows(ARTICLE.read_text())
    assert set(page) - set(ROWS) == set(), "say in article_rows.py what stands behind these"
    assert set(ROWS) - set(page) == set(), "the page does not have these rows any more"
    assert [name for name, row in ROWS.items() if not (row.tests or row.commands or row.files)] == []


@pytest.mark.parametrize("name", ROWS)
def test_what_a_row_claims_exists_and_has_its_numbers(name):
    """Tests, commands, hazards and files by name; numbers by the constants that they are."""
    assert lacks(rows(ARTICLE.read_text())[name], ROWS[name]) == []


def test_every_hazard_is_somebodys_answer():
    """A hazard that no recommendation leads to is one that nobody asked for."""
    named = {hazard for row in ROWS.values() for hazard in row.hazards}
    own = {"no-time-out", "non-idempotent-retry", "rollback-by-own-alarm"}  # more than was recommended
    assert named | own == {kind.value for kind in Kind}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (Row(tests=("docs/test_article.py::test_nothing",)), "no test docs/test_article.py::test_nothing"),
        (Row(commands=("replai",)), "there is no command 'replai'"),
        (Row(hazards=("no-jitters",)), "no-jitters is no hazard"),
        (Row(files=("docs/nothing.md",)), "no file docs/nothing.md"),
        (Row(says=(("5 s", 5.0, 5.0),)), "'5 s' is not said"),
        (Row(says=(("4 s", 5.0, 4.0),)), "'4 s': the code has 5.0, not 4.0"),
    ],
)
def test_a_row_that_lies_is_found(row, found):
    """A check that cannot fail proves nothing."""
    assert found in lacks("| it takes | 4 s |", row)
