"""From zero: init, map, assess, schema and doctor as a new user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from flyball_analytics.assess.hazards import ABOUT, Kind
from flyball_analytics.cli import cli
from flyball_analytics.integrations import Call, Function, Target
from flyball_analytics.scaffold import EXAMPLES, SET, integrations_text
from flyball_analytics.schemas import SCHEMAS, policy_schema
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import PRESETS
from unit.assess.maps import CARELESS

PRESET_FOLDER = Path(__file__).resolve().parents[3] / "controller/flyball_controller/presets"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)


def run(*words: str, code: int = 0):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output + result.stderr
    return result


def test_init_then_assess_then_validate_needs_no_editing():
    """The first five minutes: nothing that was just written may be refused."""
    shown = run("init").stdout
    assert "next: fill in integrations.yaml" in shown
    run("assess", "--policy", "first.yaml")
    assert "valid" in run("validate", "first.yaml").stdout
    assert "shadow" in run("validate", "policy.yaml").stdout
    schema = json.loads(Path("integrations.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(Path("integrations.yaml").read_text()), schema)


def test_init_overwrites_nothing_unless_it_is_told_to():
    """A filled-in map is a day's work."""
    Path("policy.yaml").write_text("mine")
    assert "exists, nothing is written" in run("init", code=2).stderr
    assert not Path("integrations.yaml").exists()
    assert Path("policy.yaml").read_text() == "mine"
    written = json.loads(run("init", "--force", "--format", "json").stdout)["written"]
    assert len(written) == 4
    run("init", "new/folder")
    assert Path("new/folder/policy.yaml").exists()


@pytest.mark.parametrize("model", [Target, Function, Call])
def test_the_scaffold_shows_every_field_and_every_example_is_valid(model):
    """A field that the scaffold forgets is a field that nobody fills in."""
    assert set(EXAMPLES[model]) == set(model.model_fields) - {"calls"}
    assert set(SET[model]) <= set(EXAMPLES[model])
    model.model_validate({name: yaml.safe_load(text) for name, text in EXAMPLES[model].items()})
    for name, field in model.model_fields.items():
        assert name == "calls" or f"{field.description}" in integrations_text()


def test_assess_fails_a_build_only_on_what_was_named():
    """--fail-on is the gate of a pull request."""
    Path("integrations.yaml").write_text(CARELESS)
    shown = run("assess", "--format", "markdown", "--fail-on", "high", code=1)
    assert "failed on high: 6 hazards, 0 unanswered questions" in shown.stderr
    assert shown.stdout.startswith("## Resilience assessment")
    assert json.loads(run("assess", "--format", "json").stdout)["schema"] == 1
    Path("sound.yaml").write_text("version: 1\nfunctions: {f: {calls: {}}}")
    run("assess", "sound.yaml", "--fail-on", "low")
    assert "unanswered" in run("assess", "sound.yaml", "--fail-on", "unknown", code=1).stderr


def test_assess_writes_a_policy_and_replaces_none_by_accident():
    """A reviewed policy is worth more than a drafted one."""
    Path("integrations.yaml").write_text(CARELESS)
    alone = run("assess", "--policy", "-").stdout
    parse_policy(alone.encode(), where="p")
    Path("p.yaml").write_text("mine")
    assert "exists" in run("assess", "--policy", "p.yaml", code=2).stderr
    run("assess", "--policy", "p.yaml", "--force", "--all")
    assert Path("p.yaml").read_text() == alone


def test_assess_says_where_a_map_is_wrong():
    """Exit code 2, file and line, no traceback."""
    Path("integrations.yaml").write_text("version: 1\nfunctons: {}")
    assert "integrations.yaml:2: unknown key 'functons'" in run("assess", code=2).stderr
    assert "No such file" in run("assess", "other.yaml", code=2).stderr


def test_assess_judges_the_history_that_a_target_names():
    """An hour is too short to move to adaptive, and that is said; plain values have no error ratio."""
    rows = "".join(f"2026-01-05T00:{m:02d}:00Z,600,1\n" for m in range(60))
    Path("h.csv").write_text("timestamp,requests,errors\n" + rows)
    Path("v.csv").write_text(
        "timestamp,value\n" + "".join(f"2026-01-05T00:{m:02d}:00Z,6\n" for m in range(60))
    )
    Path("integrations.yaml").write_text(
        "version: 1\ntargets: {a: {history: h.csv, failures: mixed}, b: {history: v.csv}, c: {}}\n"
        "functions: {f: {calls: {a: {idempotent: true}}}}"
    )
    result = run("assess", "--policy", "p.yaml")
    assert "history of a: not enough data" in result.stdout
    assert "b: its history has no error ratio" in result.stderr
    assert "# fixed: " in Path("p.yaml").read_text()


def test_map_drafts_from_source_what_assess_reads():
    """The two halves of the afternoon fit together."""
    Path("src").mkdir()
    Path("src/pay.py").write_text("import requests\nrequests.post('https://pay.example/x')\n")
    assert "things could not be known" in run("map", "--source", "checkout=src", "--out", "m.yaml").stderr
    assert "no-time-out" in run("assess", "m.yaml").stdout
    drafted = json.loads(run("map", "--source", "src", "--format", "json").stdout)
    assert list(drafted["map"]["functions"]) == ["src"]
    assert "exists" in run("map", "--source", "src", "--out", "m.yaml", code=2).stderr
    run("map", "--source", "src/pay.py", "--out", "m.yaml", "--force")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to draft from"),
        (("--function", "f", "--source", "."), "give --aws too"),
        (("--source", "a=x", "--source", "a=y"), "stands for two folders"),
        (("--source", "a="), "is not [NAME=]FOLDER"),
        (("--source", "missing"), "no such file or folder"),
    ],
)
def test_map_refuses_what_makes_no_draft(words, said):
    """Usage errors end with 2."""
    assert said in run("map", *words, code=2).stderr


@pytest.mark.parametrize("name", ["document", "integrations", "policy"])
def test_every_schema_is_one(name):
    """Editors refuse a schema that is none, silently."""
    jsonschema.validators.validator_for(SCHEMAS[name]()).check_schema(SCHEMAS[name]())
    assert json.loads(run("schema", name).stdout) == SCHEMAS[name]()
    run("schema", name, "--out", "s.json")
    assert json.loads(Path("s.json").read_text()) == SCHEMAS[name]()


def test_the_policy_schema_agrees_with_the_reader():
    """What ships is valid; a misspelt key, a value out of range and a word that is none are not."""
    validator = jsonschema.Draft202012Validator(policy_schema())
    for preset in PRESETS:
        text = (PRESET_FOLDER / f"{preset}.yaml").read_text()
        assert not list(validator.iter_errors(yaml.safe_load(text))), preset
    good = (
        "version: 1\nmode: off\ntargets: {a: {mode: active, canary: [f], open_floor: 0.7}, b: }\ndefaults:\n"
    )
    parse_policy(good.encode(), where="p")
    assert not list(validator.iter_errors(yaml.safe_load(good)))
    for bad in ("opn_floor: 0.5", "open_floor: 7", "mode: on_", "retry_adaptive: 3"):
        assert list(validator.iter_errors(yaml.safe_load(f"version: 1\ndefaults: {{{bad}}}"))), bad


def test_every_hazard_is_explained_in_the_words_of_the_docs():
    """One wording: what the command says is what the page says."""
    page = (Path(__file__).resolve().parents[3] / "docs/how-to/assess.md").read_text()
    assert set(ABOUT) == set(Kind)
    for kind, words in ABOUT.items():
        assert f"| `{kind}` | {words} |" in page
    assert ABOUT[Kind.NO_JITTER] in run("explain", "no-jitter").stdout
    assert 'did you mean "NO_JITTER"?' in run("explain", "no-jiter", code=2).stderr
