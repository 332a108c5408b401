"""House rules that no linter knows: sizes, docstrings, no stray modules, nothing that does not belong."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = {
    "client": "flyball",
    "controller": "flyball_controller",
    "handlers": "flyball_handlers",
    "analytics": "flyball_analytics",
    "local": "flyball_local",
}
MODULES = sorted(p for root in SOURCE_ROOTS for p in (ROOT / root).rglob("*.py"))
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_modules_and_functions_stay_small(path):
    """What does not fit on a few screens hides things."""
    text = path.read_text()
    assert text.count("\n") <= MODULE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", [p for p in MODULES if p.name != "__init__.py"], ids=_id)
def test_every_module_and_public_name_says_what_it_is_for(path):
    """A reader must not have to guess."""
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "module docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_source_roots_hold_packages_only():
    """A stray controller/conf.py would become importable as `conf` in a user's bundle."""
    for root, package in SOURCE_ROOTS.items():
        entries = {p.name for p in (ROOT / root).iterdir() if p.name != "__pycache__"}
        assert entries == {package}


def test_nothing_committed_names_a_machine_path_or_a_registry():
    """The repository speaks of the product alone, and installs from whatever index pip is set to use."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert not {"uv.lock", "pylock.toml"} & set(listed.stdout.split())
    banned = ["/wo" + "rk/", "pypi" + ".org", "pythonhosted" + ".org", "/ro" + "ot/"]
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".png", ".bin"} or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        for word in banned:
            assert word not in text, f"{name} contains {word}"
    assert "://" not in (ROOT / "constraints.txt").read_text()
