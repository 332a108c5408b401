"""Hook of MkDocs: pages of the repository outside docs/ become pages of the site, other files their names.

On a code host `../README.md` leads to the file; in a built site it led nowhere. So the pages
that the documentation links to are added under `repository/`, and links are rewritten on
the way: to a page of the site, or, for what is no page (a template, a folder), to plain text.
It changes no file of the repository.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "repository"
PAGES = (
    "README.md", "SCOPE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md",
    "examples/README.md", "examples/payments/README.md", "examples/steps/README.md",
    "examples/worker/README.md",
)  # fmt: skip
LINK = re.compile(r"(?P<head>(?P<image>!)?\[(?P<text>[^\]]*)\])\((?P<target>[^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of PAGES to those of docs/."""
    file = import_module("mkdocs.structure.files").File  # an extra: who calls this has it
    for name in PAGES:
        files.append(file.generated(config, f"{FOLDER}/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Return a page whose links lead to pages of the site."""
    return rewritten(markdown, str(page.file.src_uri))


def rewritten(markdown: str, page: str) -> str:
    """Return the text of `page`, a path in the site, with links that work there.

    >>> rewritten("[a](../README.md#b) [t](../infra/template.yaml) [c](article.md)", "index.md")
    '[a](repository/README.md#b) t [c](article.md)'
    >>> rewritten("[docs](docs/article.md)", "repository/README.md")
    '[docs](../article.md)'
    """
    return LINK.sub(lambda found: _link(found, page), markdown)


def _link(found: re.Match[str], page: str) -> str:
    target, _, part = found["target"].partition("#")
    if not target or "://" in target or target.startswith("mailto:"):
        return found[0]
    there = os.path.normpath(PurePosixPath(_in_repository(page)).parent / target)
    if there in PAGES:
        wanted = f"{FOLDER}/{there}"
    elif there.startswith("docs/") and (ROOT / there).is_file():
        wanted = there.removeprefix("docs/")
    else:
        return found["text"]
    relative = os.path.relpath(wanted, PurePosixPath(page).parent)
    return f"{found['head']}({relative}{'#' + part if part else ''})"


def _in_repository(page: str) -> str:
    """Return where a page of the site stands in the repository."""
    return page.removeprefix(f"{FOLDER}/") if page.startswith(f"{FOLDER}/") else f"docs/{page}"
