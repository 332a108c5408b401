"""Error codes: every error ends with one that `flyball explain` knows."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import flyball_analytics
import flyball_controller
from flyball_analytics.assess.hazards import Kind
from flyball_analytics.cli import apply, cli, ingest_common, room
from flyball_analytics.cli.errors import ExitCode, FlyballError, InvalidError, code_of, failure_of
from flyball_analytics.cli.explain import meanings
from flyball_analytics.codes import ABOUT, ErrorCode
from flyball_analytics.integrations_file import IntegrationsError, parse_integrations
from flyball_analytics.labels import LabelsError
from flyball_analytics.moments import MomentError
from flyball_analytics.problems import MissingPackageError, SeriesError
from flyball_analytics.scenarios.node import ScenarioError
from flyball_controller.core.errors import CheckpointError, PolicyError
from flyball_controller.core.model import Reason
from flyball_controller.policy_file import load_policy, parse_policy
from flyball_controller.policy_set import load_compiled
from flyball_controller.ports import PortError

SOURCES = [
    path
    for package in (flyball_analytics, flyball_controller)
    for path in sorted(Path(package.__path__[0]).rglob("*.py"))
]


def run(*words: str, code: int = 0):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output + result.stderr
    return result


def codes_in_sources() -> dict[str, str]:
    """Every `code="..."` that is given to an exception in controller and analytics, with its place."""
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if not node.func.id.endswith("Error"):
                continue
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    found[str(keyword.value.value)] = f"{path.name}:{node.lineno}"
    return found


def test_every_code_that_is_written_down_anywhere_is_one_of_the_set():
    """The controller may not import the set; this keeps the two together."""
    found = codes_in_sources()
    assert {"unknown-key", "contradiction", "bad-name"} <= set(found)
    assert {code: at for code, at in found.items() if code not in set(ErrorCode)} == {}
    assert PolicyError("x", field="f").code in set(ErrorCode)


def test_every_code_is_explained_with_a_remedy():
    """A code that explains nothing is noise."""
    assert set(ABOUT) == set(ErrorCode)
    for code in ErrorCode:
        said = run("explain", f"[{code}]").stdout
        assert said == f"error {code}\n  {ABOUT[code].meaning}\n  {ABOUT[code].remedy}\n"


def test_everything_that_can_be_explained_is_listed_and_found_by_its_own_word():
    """Reasons, errors, hazards and exit codes are one list: no word stands for two."""
    listed = list(meanings())
    assert len(listed) == len(Reason) + len(ErrorCode) + len(Kind) + len(ExitCode)
    rows = run("explain").stdout.splitlines()
    assert len(rows) == len(listed)
    plain = json.loads(run("explain", "--format", "json").stdout)
    assert [row["code"] for row in plain["codes"]] == [one.code for one in listed]
    for one in listed:
        word = f"exit-{one.number}" if one.kind == "exit code" else one.code
        said = json.loads(run("explain", word.lower(), "--format", "json").stdout)
        assert (said["kind"], said["code"]) == (one.kind, one.code)


def refusal(read, *arguments, **named) -> Exception:
    with pytest.raises((PolicyError, IntegrationsError)) as caught:
        read(*arguments, **named)
    return caught.value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("version: 1\ndefults: {}", "unknown-key"),
        ("version: 1\ndefaults: {open_flor: 1}", "unknown-key"),
        ("version: 1\ndefaults: {open_floor: 7}", "wrong-value"),
        ("version: 1\nmode: on", "wrong-value"),
        ("version: 2", "wrong-version"),
        ("version: 1\npreset: two-lop", "unknown-name"),
        ("version: 1\nversion: 1", "repeated-key"),
        ("[", "not-yaml"),
        ("version: 1\ntargets: {'a b': {}}", "bad-name"),
        ("version: 1\ndefaults: {attempts_min: 4, attempts_nominal: 2}", "contradiction"),
        ("version: 1\ntargets: {a: {mode: shadow, canary: [f]}}", "contradiction"),
    ],
)
def test_a_policy_file_says_which_kind_of_mistake_it_has(text, code):
    """The word leads to the explanation; the message to the line."""
    assert code_of(refusal(parse_policy, text.encode(), where="p.yaml")) == code


def test_compiled_policies_and_missing_ones_have_codes_too():
    """What Lambda loads is checked again."""
    compiled = b'{"compiled":1,"default":{"open_flor":1},"targets":{}}'
    assert code_of(refusal(load_compiled, compiled, where="p")) == "unknown-key"
    assert code_of(refusal(load_compiled, b"{", where="p")) == "not-yaml"
    assert code_of(refusal(load_compiled, b"{}", where="p")) == "wrong-version"
    assert code_of(
        refusal(load_compiled, b'{"compiled":1,"default":{},"targets":{"a b":{}}}', where="p")
    ) == ("bad-name")
    assert code_of(refusal(load_policy, "nowhere.yaml")) == "file"


def test_each_line_of_a_map_has_its_own_code():
    """Twenty mistakes are mended in one go, each with its word."""
    text = "version: 1\ntargets: {a: {latency: 3, criticality: 9}}\nfunctons: {}"
    error = refusal(parse_integrations, text.encode(), where="i.yaml")
    lines = str(failure_of(error)).splitlines()
    assert [line.rpartition("[")[2] for line in lines] == [
        "missing-key]",
        "wrong-value]",
        "unknown-key]",
        "unknown-key]",
    ]
    for broken, code in (
        ("version: 2\nfunctions: {}", "wrong-version"),
        ("version: 1\nfunctions: {f: {calls: {a: {}}}}", "unknown-name"),
        ("version: 1\ntargets: {'a b': {}}\nfunctions: {'': {}}", "bad-name"),
        ("a: 1\na: 2", "repeated-key"),
        ("[", "not-yaml"),
    ):
        found = refusal(parse_integrations, broken.encode(), where="i")
        assert isinstance(found, IntegrationsError)
        assert set(found.codes) == {code}


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (SeriesError("x", path="p"), "history", 2),
        (MissingPackageError("x", path="p"), "missing-package", 2),
        (LabelsError("x", path="p", field="f"), "labels", 2),
        (MomentError("x", bound="b", remedy="r"), "moment", 2),
        (CheckpointError("x"), "checkpoint", 2),
        (ScenarioError("x", where="s:1"), "scenario", 2),
        (PermissionError(13, "denied", "f"), "file", 2),
        (PortError("x", backend="b", retryable=True), "backend", 5),
        (ZeroDivisionError("x"), "defect", 70),
    ],
)
def test_every_kind_of_error_has_its_code(error, code, exit_code, capsys):
    """What nobody expected is a defect, and says so."""
    failure = failure_of(error)
    failure.show()
    assert capsys.readouterr().err.rstrip().endswith(f"[{code}]")
    assert failure.exit_code == exit_code


def kinds_of_failure(kind: type[FlyballError]) -> list[type[FlyballError]]:
    return [kind, *(found for one in kind.__subclasses__() for found in kinds_of_failure(one))]


def test_every_failure_class_has_a_code(capsys):
    """A new class without one would take over its parent's, and lie."""
    loaded = {apply.RefusedError, ingest_common.TooDearError, room.TooLargeError}
    usual = {
        kind: kind.usual for kind in kinds_of_failure(FlyballError) if kind.__module__.startswith("flyball")
    }
    assert loaded < set(usual)
    assert len(set(usual.values())) == len(usual) == 8
    InvalidError("x is [odd]", code=ErrorCode.FILE_EXISTS).show()
    assert capsys.readouterr().err == "flyball: x is [odd] [file-exists]\n"


def test_a_usage_error_has_a_code_and_still_shows_the_usage():
    """Options are click's to judge."""
    before = (("--nonsense",), ("--nonsense", "replay"), ("--debug", "--debgu", "status"))
    for words in (("replay", "--nonsense"), ("nonsense",), ("replay",), ("schema", "x"), *before):
        shown = run(*words, code=2).stderr
        assert shown.rstrip().endswith("[usage]")
        assert "Usage:" in shown
    assert issubclass(click.BadParameter, click.UsageError)
