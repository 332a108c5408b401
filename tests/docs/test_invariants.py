"""Every law of docs/reference/invariants.md is tested where the page says so, under its label."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"(?m)^\| ([A-Z]\d+) \| (.+) \| ([^|]+) \|$")
LAWS = {
    label: places.split(", ")
    for label, _, places in ROW.findall((ROOT / "docs" / "reference" / "invariants.md").read_text())
}


def files_of(place: str) -> list[Path]:
    """Return the tests of a place: a folder under tests/, or a module without its ending."""
    path = ROOT / "tests" / place
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def cites(text: str, label: str) -> bool:
    """Return whether a text names a label, in words or in the name of a test."""
    return re.search(rf"\b{label}\b|test_{label.lower()}_", text) is not None


@pytest.mark.parametrize("label", LAWS)
def test_a_law_is_tested_where_the_page_says_so(label):
    """A label that no test cites is a promise that nobody keeps."""
    for place in LAWS[label]:
        files = files_of(place)
        assert files, f"{label}: there are no tests in {place}"
        assert all(file.is_file() for file in files), f"{label}: there is no {place}"
    texts = [file.read_text() for place in LAWS[label] for file in files_of(place)]
    assert any(cites(text, label) for text in texts), f"{label} is cited nowhere in {LAWS[label]}"


def test_the_labels_have_no_gap():
    """A number that is left out is a law that was forgotten: A3 and A5 once stood there without A4."""
    for letter in "CPKAEO":
        numbers = [int(label[1:]) for label in LAWS if label[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)), letter


def test_a_label_is_found_as_a_word_and_in_a_name():
    """A check that cannot fail proves nothing: C1 is not in C10."""
    assert cites('"""C1: equal."""', "C1")
    assert cites("def test_c1_equal():", "C1")
    assert not cites("def test_c10_from(): C10", "C1")
