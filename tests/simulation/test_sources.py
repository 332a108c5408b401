"""What a line of the ledger is evidence of: every module that a schedule runs, no documentation."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tool_modules import tool_module

ROOT = Path(__file__).resolve().parents[2]
# In a process of its own: what other tests import is no evidence.
_RUN = """
import sys, warnings
sys.path[:0] = [{paths}]
warnings.simplefilter("ignore")
from simulation.schedule import draw
from simulation.world import run
from simulation import rare
for seed in range(12):
    assert run(draw(seed)).violations == ()
for module in list(sys.modules.values()):
    print(getattr(module, "__file__", None) or "")
"""


@pytest.fixture(scope="module")
def tool() -> Any:
    """The script as a module."""
    return tool_module("reliability_sources")


@pytest.fixture(scope="module")
def copy(tool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone, in another place; whoever changes one puts it back."""
    place = tmp_path_factory.mktemp("sources")
    for path in tool.sources():
        to = place / path.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    return place


def test_every_module_that_schedules_import_is_among_the_sources(tool: Any):
    """One that was missed could be changed, and schedules of the old one would release the new one."""
    paths = ", ".join(repr(str(ROOT / place)) for place in tool.PLACES)
    done = subprocess.run(
        [sys.executable, "-c", _RUN.format(paths=paths)], capture_output=True, text=True, check=True
    )
    loaded = {Path(line).resolve() for line in done.stdout.splitlines() if line}
    ours = {path for path in loaded if any(path.is_relative_to(ROOT / place) for place in tool.PLACES)}
    assert len(ours) > 100
    assert ours - set(tool.sources()) == set()


def test_the_same_files_elsewhere_have_the_same_digest(tool: Any, copy: Path):
    """Ledgers of two machines are joined."""
    assert tool.digest(copy) == tool.digest()


def test_documentation_and_other_tests_change_no_digest(tool: Any, copy: Path):
    """Nothing of them runs in a schedule."""
    before = tool.digest(copy)
    for name in ("docs/reliability.md", "CHANGELOG.md", "tests/unit/test_new.py", "analytics/new.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("A = 1\n")
    assert tool.digest(copy) == before


@pytest.mark.parametrize(
    "name",
    [
        "client/flyball/breaker.py",
        "client/flyball/hooks.py",  # imported in a function only
        "controller/flyball_controller/core/step.py",
        "controller/flyball_controller/policy_store.py",
        "controller/flyball_controller/presets/ladder.json",
        "handlers/flyball_handlers/wiring.py",
        "analytics/flyball_analytics/cli/rollback.py",
        "tests/simulation/laws.py",
    ],
)
def test_a_change_in_what_a_schedule_runs_changes_the_digest(tool: Any, copy: Path, name: str):
    """One byte at the end of any of them, or the file gone."""
    path, before = copy / name, tool.digest(copy)
    data = path.read_bytes()
    path.write_bytes(data + b"\n")
    changed = tool.digest(copy)
    path.unlink()
    gone = tool.digest(copy)
    path.write_bytes(data)
    assert len({before, changed, gone}) == 3
    assert tool.digest(copy) == before


def test_a_module_that_is_imported_from_now_on_belongs_to_it(tool: Any, copy: Path):
    """From a package, beside it, in a function, by name; but not for the type checker alone."""
    laws = copy / "tests/simulation/laws.py"
    was = laws.read_bytes()
    lines = {
        "one": "from simulation import one",
        "two": "def f():\n    import simulation.two",
        "three": "from .three import anything",
        "four": 'import_module("simulation.four")',
        "five": "if TYPE_CHECKING:\n    import simulation.five",
    }
    for name, line in lines.items():
        (laws.parent / f"{name}.py").write_text("")
        laws.write_text(f"{laws.read_text()}\n{line}\n")
    known = {path.stem for path in tool.sources(copy)}
    laws.write_bytes(was)
    assert known & set(lines) == {"one", "two", "three", "four"}


class _Git:
    """Answers as git would, of one changed file."""

    def __init__(self, change: str) -> None:
        self.change = change

    def __call__(self, *words: str) -> str:
        """The head, or what changed."""
        return "abc\n" if words[0] == "rev-parse" else self.change


@pytest.mark.parametrize(
    ("change", "commit"),
    [
        ("", "abc"),
        (" M docs/reference/reliability.md\0?? tests/unit/new.py\0", "abc"),
        (" M controller/flyball_controller/loop.py\0", "abc+"),
        (" M docs/a.md\0M  tests/simulation/laws.py\0", "abc+"),
        ("?? controller/flyball_controller/loop.py\0", "abc+"),
        (" D controller/flyball_controller/was_there.py\0", "abc+"),
        (" D docs/a.md\0", "abc"),
    ],
)
def test_a_commit_is_marked_if_what_a_schedule_runs_differs_from_it(
    monkeypatch: pytest.MonkeyPatch, change: str, commit: str
):
    """Whatever else lies about in the tree runs in no schedule."""
    module = tool_module("reliability")
    monkeypatch.setattr(module, "_git", _Git(change))
    assert module._commit() == commit


def test_without_a_repository_nothing_counts_as_committed(monkeypatch: pytest.MonkeyPatch):
    """An unpacked archive has no commit to release."""
    module = tool_module("reliability")
    monkeypatch.setattr(module, "_git", lambda *words: "")
    assert module._commit() == "unknown+"
