"""tools/mutants.py finds what a test notices and what none does, and argues only what it can prove."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tool_modules import tool_module

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "tools" / "mutants.py"


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    """The tool, which is no package."""
    return tool_module("mutants")


RUN = """
import importlib.util, pathlib, pytest, sys
spec = importlib.util.spec_from_file_location("mutants_tool", sys.argv[1])
tool = importlib.util.module_from_spec(spec)
sys.modules["mutants_tool"] = tool
spec.loader.exec_module(tool)
tool.STUCK_S = 0.2
HEAD = "def may_move(*, since_s, at_s, dwell_s):\\n    "
forms = {
    "killed": HEAD + "return since_s < 0.0 or at_s - since_s < dwell_s",
    "survived": HEAD + "return since_s <= 0.0 or at_s - since_s >= dwell_s",
    "timed out": HEAD + "while True: pass",
}
planted = [tool.Mutant("circuit", "may_move", "", source, "", verdict) for verdict, source in forms.items()]
other = "def next_circuit(state, event):\\n    return state"
planted.append(tool.Mutant("circuit", "next_circuit", "", other, "", "no test"))
planted.append(tool.Mutant("circuit", "TRANSITIONS", "", "", "", "no function"))
folder = pathlib.Path(sys.argv[2])
runner = tool.Runner(planted, folder / "ledger.jsonl", everything=False)
options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "-c", str(folder / "pytest.ini")]
sys.exit(pytest.main([*options, str(folder / "test_planted.py")], plugins=[runner]))
"""
PLANTED_TEST = """
from flyball_controller.core.circuit import may_move

def test_dwell():
    assert may_move(since_s=100.0, at_s=220.0, dwell_s=120.0)
    assert not may_move(since_s=100.0, at_s=219.0, dwell_s=120.0)
"""


def test_planted_mutants_get_the_verdicts_they_deserve(tmp_path: Path) -> None:
    """One that the test sees, one that it cannot, an endless loop, one that nothing runs."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_planted.py").write_text(PLANTED_TEST)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(TOOL), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    verdicts = {line["digest"]: line["verdict"] for line in lines}
    assert verdicts == {
        "killed": "killed",
        "survived": "survived",
        "timed out": "timed out",
        "no test": "no test",
        "no function": "no test",
    }
    assert "test_dwell" in lines[0]["by"]


def test_a_test_that_fails_without_a_mutant_stops_the_run(tmp_path: Path) -> None:
    """Or every mutant would count as killed."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_planted.py").write_text("def test_wrong():\n    assert False\n")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(TOOL), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert not (tmp_path / "ledger.jsonl").exists()


HEAD = "def f(x, y, z, a):\n    "


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("return x if x > y else y", "return x if x >= y else y", "either side"),
        ("return y if x < y else x", "return y if x <= y else x", "either side"),
        ("return x - y if x > y else y - x", "return x - y if x >= y else y - x", "the difference is 0"),
        ("if x > y:\n        y = x\n    return y", "if x >= y:\n        y = x\n    return y", "replaced"),
        (
            "if a and x > y:\n        y = x\n    return y",
            "if a and x >= y:\n        y = x\n    return y",
            "replaced",
        ),
        ("if x.b < y:\n        z = x.b", "if x.b <= y:\n        z = x.b", None),  # another name is set
        ("if x > y:\n        y = x + 1", "if x >= y:\n        y = x + 1", None),
        ("if x > y:\n        y = x\n        a = 1", "if x >= y:\n        y = x\n        a = 1", None),
        (
            "if x > y:\n        y = x\n    else:\n        a = 1",
            "if x >= y:\n        y = x\n    else:\n        a = 1",
            None,
        ),
        ("if a or x > y:\n        y = x", "if a or x >= y:\n        y = x", None),
        ("return x if x > y else z", "return x if x >= y else z", None),
        ("return x if a and x > y else y", "return x if a and x >= y else y", None),
        ("return x if x > y else y", "return x if x < y else y", None),
        ("return x if x > y else y", "return x if x >= y else a", None),
        ("return x - y if x > y else x - y", "return x - y if x >= y else x - y", None),
        ("return x if x > y > z else y", "return x if x >= y > z else y", None),
        ("return x > y", "return x >= y", None),
        ("return 1e308", "return 1e+308", "the same program"),
        ("return 1", "return 1.0", None),
    ],
)
def test_only_what_a_rule_proves_is_argued(
    mutants: ModuleType, before: str, after: str, rule: str | None
) -> None:
    """A tie decides nothing only if both sides of it end in the same value."""
    why = mutants.why_equal(HEAD + before, HEAD + after)
    assert (rule is None and why is None) or (rule is not None and rule in why)


def test_the_report_counts_and_an_argument_that_a_test_refutes_is_an_error(
    mutants: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of each: killed, argued, open, refuted, not run."""
    monkeypatch.setattr(mutants, "ARGUED", tmp_path / "argued.json")
    mutants.ARGUED.write_text(json.dumps({"b": "never called with it", "d": "wrong"}))
    some = [
        mutants.Mutant("m", "f", HEAD + "return x", HEAD + "return y", f"-x\n+{name}", name)
        for name in "abcde"
    ]
    verdicts = {"a": "killed", "b": "survived", "c": "survived", "d": "killed"}
    found = mutants.report(some, {digest: {"verdict": verdict} for digest, verdict in verdicts.items()})
    out = capsys.readouterr().out
    assert found == 2
    assert "| `m` | 5 | 2 | 0 | 1 | 1 | 0 | 1 |" in out
    assert "| never called with it | 1 |" in out
    assert "c m.f: survived" in out
    assert "d m.f: argued, but killed: wrong" in out


def test_every_argument_is_a_sentence_about_a_digest() -> None:
    """No argument without a reason."""
    argued = json.loads((ROOT / "tests" / "mutants_argued.json").read_text())
    assert all(len(digest) == 16 and len(why.split()) > 3 for digest, why in argued.items())


def test_the_page_says_how_many_are_argued() -> None:
    """A new argument belongs on the page, with its reason."""
    argued = json.loads((ROOT / "tests" / "mutants_argued.json").read_text())
    page = (ROOT / "docs" / "reference" / "mutants.md").read_text()
    assert all(f"| {why} |" in page for why in argued.values())
