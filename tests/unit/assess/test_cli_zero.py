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


def test_validate_takes_a_map_too():
    """Whoever has written a file asks the command of that name, whichever file it is."""
    Path("integrations.yaml").write_text(CARELESS)
    shown = run("validate", "integrations.yaml").stdout
    assert (
        shown
        == "integrations.yaml: valid map, 3 functions, 3 targets; next: flyball assess integrations.yaml\n"
    )
    assert json.loads(run("validate", "integrations.yaml", "--format", "json").stdout) == {
        "schema": 1,
        "kind": "integrations",
        "functions": 3,
        "targets": 3,
    }
    assert (
        "is an integration map" in run("validate", "integrations.yaml", "--compile", "x.json", code=2).stderr
    )
    Path("bad.yaml").write_text("version: 1\nfunctions: {f: {tmeout_s: 3}}")
    assert "did you mean 'timeout_s'? [unknown-key]" in run("validate", "bad.yaml", code=2).stderr
    Path("no.yaml").write_text("[")
    assert "[not-yaml]" in run("validate", "no.yaml", code=2).stderr
    assert json.loads(run("validate", "fixed", "--format", "json").stdout)["schema"] == 1


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


def test_map_takes_every_folder_of_a_folder_for_a_function():
    """Sixty functions are one option, not sixty; caches and hidden folders are none."""
    for name in ("checkout", "mailer", ".git", "__pycache__"):
        Path("src", name).mkdir(parents=True)
    Path("src/README.md").write_text("no folder")
    Path("src/checkout/pay.py").write_text("import requests\nrequests.post('https://pay.example/x')\n")
    drafted = run("map", "--sources", "src", "--format", "json")
    plain = json.loads(drafted.stdout)
    assert list(plain["map"]["functions"]) == ["checkout", "mailer"]
    assert "source: 1 call in 1 file of 2 functions" in drafted.stderr
    assert "not asked: AWS (--aws)" in plain["unknown"]
    assert plain["origins"] == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to draft from"),
        (("--source", ".", "--without", "xray"), "give --aws too"),
        (("--sources", "nowhere"), "'nowhere' is no folder"),
        (("--sources", "empty"), "there is no folder in empty"),
        (("--sources", "one", "--sources", "two"), "'f' is in two of the folders"),
        (("--function", "f", "--source", "."), "give --aws too"),
        (("--source", "a=x", "--source", "a=y"), "stands for two folders"),
        (("--source", "a="), "is not [NAME=]FOLDER"),
        (("--source", "missing"), "no such file or folder"),
    ],
)
def test_map_refuses_what_makes_no_draft(words, said):
    """Usage errors end with 2."""
    for folder in ("empty", "one/f", "two/f"):
        Path(folder).mkdir(parents=True)
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
    assert "did you mean 'NO_JITTER'?" in run("explain", "no-jiter", code=2).stderr


def test_assess_writes_a_page(tmp_path):
    """--out takes any form."""
    Path("integrations.yaml").write_text(CARELESS)
    assert "written a.html" in run("assess", "--format", "html", "--out", "a.html").stderr
    assert Path("a.html").read_text() == run("assess", "--format", "html").stdout
    assert Path("a.html").read_text().startswith("<!doctype html>")


def test_assess_judges_only_what_was_named():
    """A team owns five of sixty functions."""
    Path("integrations.yaml").write_text(CARELESS)
    shown = run("assess", "--only", "weather").stdout
    assert "1 functions, 1 targets, 1 integrations" in shown
    assert "payments-api" not in shown
    assert "2 integrations" in run("assess", "--only", "checkout").stdout
    assert "3 integrations" in run("assess", "--only", "checkout", "--only", "payments-api").stdout
    assert "did you mean 'weather'?" in run("assess", "--only", "wether", code=2).stderr


def test_a_large_fleet_is_shown_by_kind_and_question_and_in_full_on_demand():
    """Sixty functions in full are a thousand lines, which nobody reads."""
    functions = "".join(f"  f{n}: {{calls: {{a: {{timeout_s: none}}}}}}\n" for n in range(20))
    Path("integrations.yaml").write_text(f"version: 1\ntargets: {{a: {{}}}}\nfunctions:\n{functions}")
    shown = run("assess").stdout
    assert "high   no-time-out                 20  f0 -> a, f1 -> a, f2 -> a, f3 -> a and 16 more" in shown
    assert " 40  criticality: f0, f1, f2, f3 and 36 more" in shown
    assert "--only NAME" in shown
    assert "integration f7 -> a" not in shown
    assert "integration f7 -> a" in run("assess", "--all").stdout


FLAPPING_START_S = 1_767_571_200  # 2026-01-05T00:00:00Z


def flapping(days: int = 9) -> str:
    """Nights that fail 30 % for two hours, every day: a fixed threshold of 20 % fires every night."""
    rows = []
    for minute in range(0, days * 1_440, 5):
        bad = 120 <= minute % 1_440 < 240
        at = FLAPPING_START_S + minute * 60
        rows.append(f"{at},3000,{900 if bad else 15}\n")
    return "timestamp,requests,errors\n" + "".join(rows)


def test_a_history_that_proves_frequent_false_positives_makes_its_target_adaptive():
    """Nine false firings in nine days; adaptive thresholds learn the night. The others stay fixed."""
    Path("integrations.yaml").write_text(CARELESS)
    Path("h").mkdir()
    Path("h/payments-api.csv").write_text(flapping())
    Path("h/other.csv").write_text(flapping(1))
    result = run("assess", "--history", "h", "--policy", "p.yaml")
    assert "history of payments-api: move to adaptive" in result.stdout
    assert "h/other.csv: the map has no target 'other'; skipped" in result.stderr
    policies = parse_policy(Path("p.yaml").read_bytes(), where="p.yaml")
    assert policies.for_target("payments-api").retry_adaptive
    assert not policies.for_target("weather").retry_adaptive
    assert "valid" in run("validate", "p.yaml").stdout
    replayed = run("replay", "h/payments-api.csv", "--policy", "p.yaml", "--summary")
    assert "payments-api" in replayed.stdout


def test_labels_say_which_firings_are_true():
    """If every night is an outage, a fixed threshold that sees it is right, and stays."""
    Path("integrations.yaml").write_text(CARELESS)
    Path("pay.csv").write_text(flapping())  # the labels know it by its own name
    incidents = [
        {"start": FLAPPING_START_S + day * 86_400 + 7_200, "end": FLAPPING_START_S + day * 86_400 + 14_400}
        for day in range(9)
    ]
    Path("l.json").write_text(json.dumps({"series": {"pay.csv": {"incidents": incidents}}}))
    result = run("assess", "--history", "payments-api=pay.csv", "--labels", "l.json")
    assert "history of payments-api: stay fixed" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--history", "paymnets-api=h.csv"), "did you mean 'payments-api'?"),
        (("--history", "q.csv"), "none of q is a target of the map; name one with TARGET=PATH"),
        (("--labels", "l.json"), "give --history too"),
    ],
)
def test_a_history_of_nobody_is_refused(words, said):
    """It would otherwise be read and mean nothing."""
    Path("integrations.yaml").write_text(CARELESS)
    Path("q.csv").write_text("timestamp,requests,errors\n")
    assert said in run("assess", *words, code=2).stderr
