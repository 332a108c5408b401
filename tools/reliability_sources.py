"""Which files a simulated schedule runs, and their digest: what a line of the ledger is evidence of.

A change of documentation changes no schedule; a change of one module that a schedule may
import changes all of them. So the files are found by following every `import` from the
simulation on, in functions too, and no list is kept by hand. What only a type checker
imports does not run. Data of a package that is reached (policy presets) belongs to it.

Not in it: what is installed beside the repository (greenlet, botocore), and Python.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("client", "controller", "handlers", "analytics", "local", "tests")  # where packages lie
FIRST = ("simulation.world", "simulation.schedule", "simulation.rare")  # what a run imports by itself
DIGITS = 16


def sources(root: Path = ROOT) -> list[Path]:
    """Return the files that a schedule may run or read, sorted."""
    found: set[Path] = set()
    ahead = list(FIRST)
    seen = set(ahead)
    while ahead:
        name = ahead.pop()
        path = _file_of(root, name)
        if path is None:
            continue
        found.add(path)
        if path.name == "__init__.py":
            found.update(_data_of(path.parent))
        for other in _imports(path, name, path.stat().st_mtime_ns):
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return sorted(found)


def digest(root: Path = ROOT) -> str:
    """Return hex digits that change with any of these files: their names and their bytes."""
    whole = hashlib.sha256()
    for path in sources(root):
        for part in (path.relative_to(root).as_posix().encode(), path.read_bytes()):
            whole.update(len(part).to_bytes(8, "little") + part)
    return whole.hexdigest()[:DIGITS]


def _file_of(root: Path, name: str) -> Path | None:
    """Return the file of a module of ours, None if it is somebody else's or no module."""
    for place in PLACES:
        base = root.joinpath(place, *name.split("."))
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
    return None


def _data_of(folder: Path) -> Iterator[Path]:
    """Yield what a package reads and does not import: other files in it, and in folders that are none."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__" and not any(path.glob("*.py")):
            yield from (one for one in path.rglob("*") if one.is_file())
        elif path.is_file() and path.suffix in (".json", ".yaml", ".yml", ".toml"):
            yield path


@lru_cache(maxsize=2_000)
def _imports(path: Path, name: str, _: int) -> tuple[str, ...]:
    """Return the modules that a module may import, its packages and their packages included."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: dict[str, None] = {}
    for wanted in (name, *_named(ast.parse(path.read_bytes()), package)):
        parts = wanted.split(".")
        found.update(dict.fromkeys(".".join(parts[:length]) for length in range(1, len(parts) + 1)))
    return tuple(found)


def _named(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield every name that an import could mean: of a module, or of something in it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from _named(ast.Module([other], []), package)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
            module = node.module or "" if not node.level else ".".join(filter(None, (above, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_module(node.value):
            yield node.value  # given to import_module, or in a table of what is loaded when first asked for
        yield from _named(node, package)


def _is_module(text: str) -> bool:
    head, dot, rest = text.partition(".")
    return bool(dot) and head.startswith(("flyball", "simulation")) and rest.replace(".", "").isidentifier()
