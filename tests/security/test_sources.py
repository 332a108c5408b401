"""What the sources must not do, read from the sources; and what may be installed."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tool_modules import tool_module

ROOT = Path(__file__).resolve().parents[2]
IN_LAMBDA = ("client", "controller", "handlers")
MODULES = sorted(p for root in (*IN_LAMBDA, "analytics") for p in (ROOT / root).rglob("*.py"))
# Calls that run text or unpack objects, or that ask nobody which host it is.
BANNED = re.compile(
    r"(^|\.)(eval|exec|compile|__import__)$|^(pickle|marshal|shelve|dill|cloudpickle)\.|^yaml\.(load|unsafe_load|full_load)$"
    r"|^os\.(system|popen)$|^tempfile\.mktemp$|^ssl\._create_unverified_context$|^xml\."
)
# Where one of them is meant: name -> reason.
MEANT = {
    "re.compile": "a regular expression, not source text",
    "__import__": "flyball/__init__.py loads its own modules at their first use, by names from its own table",
}


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


# What a module must contain to be worth parsing.
WORDS = re.compile(
    r"\b(eval|exec|compile|__import__|pickle|marshal|shelve|dill|yaml|system|popen|mktemp|ssl|xml|csv)\b"
)


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return every call and import in a module; none if the module has no word that is asked for."""
    if (
        path.is_relative_to(ROOT)
        and not path.is_relative_to(ROOT / "client")
        and not WORDS.search(path.read_text())
    ):
        return []
    kinds = (ast.Call, ast.Import, ast.ImportFrom)
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


@cache
def calls(path: Path) -> set[str]:
    """Return the dotted names of all calls in a module."""
    return {name for node in nodes(path) if isinstance(node, ast.Call) and (name := _name(node.func))}


@cache
def imports(path: Path) -> set[str]:
    """Return the first part of all modules that a module imports."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_nothing_that_reads_data_runs_it() -> None:
    """No pickle, no eval, no unsafe YAML, no shell: data from outside has no way to become code (T14)."""
    for path in MODULES:
        wrong = {name for name in calls(path) if BANNED.search(name)} - set(MEANT)
        assert not wrong, f"{path.relative_to(ROOT)}: {wrong}"
        assert not imports(path) & {"pickle", "marshal", "shelve", "dill"}, path.relative_to(ROOT)


def test_the_check_sees_what_it_looks_for(tmp_path: Path) -> None:
    """A pattern that matches nothing would keep every law."""
    module = tmp_path / "m.py"
    module.write_text(
        "import pickle\npickle.loads(b'')\nyaml.load(x)\neval('1')\nos.system('x')\nre.compile('x')\n"
    )
    assert {name for name in calls(module) if BANNED.search(name)} - set(MEANT) == {
        "pickle.loads",
        "yaml.load",
        "eval",
        "os.system",
    }
    assert "pickle" in imports(module)


def test_only_one_place_writes_csv_and_its_file_is_gone_afterwards() -> None:
    """Text from outside in a CSV for people would be a formula for spreadsheets; JSON and HTML are not."""
    writers = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if calls(path) & {"csv.writer", "csv.DictWriter", "csv.DictWriter.writerow"}
    ]
    assert writers == ["analytics/flyball_analytics/fromframe.py"]


# --- packages -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """Return tools/sbom.py."""
    return tool_module("sbom")


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    """Return the table `project`."""
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def test_every_package_that_is_asked_for_is_pinned(tool: ModuleType, project: dict[str, object]) -> None:
    """An unpinned name is whatever some index serves today (dependency confusion)."""
    known = tool.pinned((ROOT / "constraints.txt").read_text())
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    listed = {
        entry for name, entries in extras.items() if name in ("dev", "otel", "cluster") for entry in entries
    }
    asked = tool._names(listed, project) | tool._names(project["dependencies"], project)
    assert asked - set(known) == set()


def test_what_is_required_needs_nothing_that_is_not_pinned(
    tool: ModuleType, project: dict[str, object]
) -> None:
    """The packages of the packages, too."""
    known = tool.pinned((ROOT / "constraints.txt").read_text())
    for name, scope in tool.scopes(project, known).items():
        if scope == "required":
            assert set(tool.needed(name)) <= set(known) | {"colorama", "tzdata"}, (
                name
            )  # these on Windows only


def test_the_client_needs_no_package() -> None:
    """What is not installed cannot be compromised: the runtime in users' functions is standard library."""
    third = {name for path in (ROOT / "client").rglob("*.py") for name in imports(path)}
    # Adapters import what they adapt to, and the SDK is Lambda's own; all of it inside functions.
    assert third & {"yaml", "pydantic", "click", "rich", "numpy", "requests", "urllib3"} == set()


def test_the_bill_of_materials_keeps_the_official_schema(tool: ModuleType, tmp_path: Path, capsys) -> None:
    """CycloneDX 1.6, strict; every pinned package once, every reference to one that is there."""
    out = tmp_path / "sbom.json"
    assert tool.main(["--out", str(out)]) == 0
    text = out.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    assert [c["name"] for c in found["components"]] == sorted(
        tool.pinned((ROOT / "constraints.txt").read_text())
    )
    known = {c["bom-ref"] for c in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    assert {
        ref for entry in found["dependencies"] for ref in (entry["ref"], *entry.get("dependsOn", ()))
    } == known
    assert "required" in capsys.readouterr().out
    assert "://" not in text.replace("http://cyclonedx.org/schema/", "")


def test_the_schema_would_refuse_another_bill(tool: ModuleType, project: dict[str, object]) -> None:
    """The validator is no rubber stamp."""
    broken = tool.bill(project, {"click": "8.1"})
    broken["components"][0]["type"] = "lib"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None


def test_the_bill_is_the_same_bytes_again_and_says_who_meets_what(
    tool: ModuleType, project: dict[str, object]
) -> None:
    """No time and no machine in it: a change is a change of packages."""
    known = {"click": "8.5.1", "pytest": "9.2.0", "numpy": "2.4.6"}
    first, second = tool.bill(project, known), tool.bill(project, known)
    assert json.dumps(first) == json.dumps(second)
    assert first["serialNumber"] != tool.bill(project, {"click": "8.5.2"})["serialNumber"]
    scopes = {component["name"]: component["scope"] for component in first["components"]}
    assert scopes == {"click": "required", "numpy": "optional", "pytest": "excluded"}


@pytest.mark.parametrize("line", ["click", "click>=8", "click==8 --hash=x", "http://x/y.whl", "-e ."])
def test_a_constraint_that_is_no_name_and_version_is_refused(tool: ModuleType, line: str) -> None:
    """A URL among the constraints would be a package from elsewhere."""
    with pytest.raises(ValueError, match=r"constraints\.txt:2"):
        tool.pinned(f"# first\n{line}\n")
