"""The built site leads nowhere dead, pages of the repository outside docs/ included."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tool_modules import tool_module

pytest.importorskip("mkdocs", reason="the site's builder is an extra: tools/bootstrap.py docs")
LINK = re.compile(r'(?:href|src)="([^"#]+)')


@pytest.fixture(scope="module")
def site(root, tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def dead(site: Path) -> set[str]:
    """Return the links of a site that lead to no file of it."""
    found = set()
    for page in site.rglob("*.html"):
        for link in LINK.findall(page.read_text()):
            if "://" not in link and not link.startswith(("mailto:", "data:", "/")):
                found |= set() if (page.parent / link).exists() else {f"{page.relative_to(site)}: {link}"}
    return found


def test_no_link_of_the_built_site_is_dead(site):
    """On a code host ../README.md leads somewhere; in the site it once did not."""
    assert dead(site) == set()
    assert "retry" in (site / "repository" / "index.html").read_text()


def test_a_dead_link_is_found(tmp_path):
    """A check that cannot fail proves nothing."""
    (tmp_path / "a.html").write_text('<a href="b.html">b</a><a href="a.html#x">a</a>')
    assert dead(tmp_path) == {"a.html: b.html"}


@pytest.mark.parametrize(
    ("text", "page", "expected"),
    [
        ("[a](../README.md#b)", "index.md", "[a](repository/README.md#b)"),
        ("[a](../../examples/README.md)", "theory/control.md", "[a](../repository/examples/README.md)"),
        ("[a](../../infra/template.yaml)", "reference/events.md", "a"),
        ("![a](docs/storm.svg)", "repository/README.md", "![a](../storm.svg)"),
        ("[a](../README.md)", "repository/examples/README.md", "[a](../README.md)"),
        ("[a](https://x.example/) [b](#c)", "index.md", "[a](https://x.example/) [b](#c)"),
    ],
)
def test_a_link_is_rewritten_to_where_its_page_stands_in_the_site(text, page, expected):
    """Worked by hand: a page of docs/ lies in the site's root, one of the repository in repository/."""
    assert tool_module("docs_site").rewritten(text, page) == expected
