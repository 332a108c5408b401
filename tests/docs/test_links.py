"""Links of the documentation lead somewhere, and every page can be reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "SCOPE.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md")
PAGES = [
    *(ROOT / name for name in TOP),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
FENCED = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MkDocs make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """Return every anchor of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"(?m)^#+ (.+)$", text)}


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere in this repository."""
    found = []
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, part = link.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (part and there.suffix == ".md" and part not in anchors(there)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page):
    """A dead link says that nobody reads the page."""
    assert broken(page) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path):
    """A check that cannot fail proves nothing."""
    (tmp_path / "b.md").write_text("# One two\n")
    page = tmp_path / "a.md"
    page.write_text(
        "[x](c.md) [y](b.md#one-two) [z](b.md#three) `[w](d.md)` [v](https://x.example/)\n## Own\n[o](#own)"
    )
    assert broken(page) == ["c.md", "b.md#three"]


def navigation(node):
    """Yield every page that the site's navigation names."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from navigation(value)
    else:
        for value in node:
            yield from navigation(value)


def test_every_page_stands_in_the_navigation():
    """A page that nobody can find is not there; decisions are listed by their own page."""
    named = set(navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert named - there == set()
    assert {name for name in there - named if not re.match(r"decisions/\d", name)} == set(), (
        "add it to mkdocs.yml"
    )


def test_every_decision_stands_in_their_list():
    """The list is where people look."""
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert f"]({page.name})" in listed, f"add {page.name} to docs/decisions/README.md"
