"""Migrating files: what is old becomes current, comments stay, and what nobody knows is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from flyball_analytics.cli import cli
from flyball_analytics.codes import ErrorCode
from flyball_analytics.migration import RETIRED, Kind, MigrationError, migrate
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.policy import Policy
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import PRESETS, compile_set, load_preset

OLD = """\
# Our policy; do not lose this line.
preset: fixed
defaults:
  open_floor: 0.5  # half
  profile_rate: 0.1  # slow
targets:
  # payments is dear
  payments-api:
    profile_rate: 0.2
  orders: {profile_rate: 0.1, open_floor: 0.7}
  stock: {open_floor: 0.7, profile_rate: 0.1}
  mail: { profile_rate: 0.1 }
"""
NEW = """\
# Our policy; do not lose this line.
version: 1
preset: fixed
defaults:
  open_floor: 0.5  # half
targets:
  # payments is dear
  payments-api:
  orders: {open_floor: 0.7}
  stock: {open_floor: 0.7}
  mail: {  }
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)


def run(*words: str, code: int = 0):
    result = CliRunner().invoke(cli, ["migrate", *words])
    assert result.exit_code == code, result.output + result.stderr
    return result


def test_an_old_policy_becomes_current_and_keeps_its_comments():
    """A policy is reviewed text; a rewrite would lose the reasons in it."""
    done = migrate(OLD.encode(), where="p.yaml")
    assert done.after == NEW
    assert (done.kind, done.version) == (Kind.POLICY, 0)
    assert [change.line for change in done.changes] == [2, 5, 9, 10, 11, 12]
    assert migrate(NEW.encode(), where="p.yaml").changes == ()
    policies = parse_policy(NEW.encode(), where="p.yaml")
    assert policies.for_target("stock").open_floor == 0.7


def test_what_is_retired_is_no_setting_of_today():
    """A name that comes back would be removed from files that mean it."""
    assert not set(RETIRED) & set(Policy._fields)


def test_two_retired_settings_beside_each_other_leave_a_mapping():
    """Commas belong to what follows, or to what came before."""
    rates = "profile_rate: 1"
    for text in (f"{{{rates}, open_floor: 0.7}}", f"{{open_floor: 0.7, {rates}}}", f"{{{rates}}}"):
        done = migrate(f"version: 1\ntargets: {{a: {text}}}".encode(), where="p.yaml")
        assert "profile_rate" not in done.after
        assert yaml.safe_load(done.after)["targets"]["a"] in ({"open_floor": 0.7}, {})


@given(
    before=st.lists(st.sampled_from(["open_floor: 0.7", "dwell_s: 120", "# note"]), max_size=3, unique=True),
    after=st.lists(st.sampled_from(["z_act: 2.33", "min_errors: 3", "# more"]), max_size=3, unique=True),
)
def test_what_is_not_retired_stays_to_the_letter(before, after):
    """Law: the result is the text without the lines of what is gone."""
    lines = ["version: 1", "defaults:"]
    lines += [f"  {line}" for line in (*before, "profile_rate: 0.1", *after)]
    done = migrate("\n".join(lines).encode(), where="p.yaml")
    assert done.after.splitlines() == [line for line in lines if "profile_rate" not in line]


def test_an_old_map_states_its_version():
    """The first line that is no comment."""
    done = migrate(b"# ours\n\nfunctions: {}\n", where="i.yaml")
    assert (done.kind, done.after) == (Kind.INTEGRATIONS, "# ours\n\nversion: 1\nfunctions: {}\n")
    assert migrate(b"version: 0\nfunctions: {}", where="i.yaml").after == "version: 1\nfunctions: {}"


@pytest.mark.parametrize("preset", PRESETS)
def test_what_flyball_makes_is_current_or_made_anew(preset):
    """A compiled policy has its YAML; nobody edits it."""
    data = compile_set(load_preset(preset))
    done = migrate(data, where="p.json")
    assert (done.kind, done.changes) == (Kind.COMPILED, ())
    older = json.loads(data)
    older["default"]["profile_rate"] = 0.1
    with pytest.raises(MigrationError, match="compile it anew") as caught:
        migrate(json.dumps(older).encode(), where="p.json")
    assert caught.value.code == "unknown-key"


def test_a_document_is_current_or_published_anew():
    """Clients read one schema only."""
    fields = {"schema": 1, "revision": 1, "generated_at": "", "policy_hash": "", "targets": {}}
    assert migrate(json.dumps(fields).encode(), where="d.json").kind is Kind.DOCUMENT
    with pytest.raises(MigrationError, match="flyball plan, flyball apply"):
        migrate(json.dumps({**fields, "schema": 0}).encode(), where="d.json")


@pytest.mark.parametrize(
    ("text", "where", "said", "code"),
    [
        ("version: 2\npreset: fixed", "p.yaml", "newer than this flyball reads", ErrorCode.WRONG_VERSION),
        ("version: one\npreset: fixed", "p.yaml", "must be a whole number", ErrorCode.WRONG_VALUE),
        ("a: 1", "p.yaml", "is neither a policy", ErrorCode.INVALID),
        ("{}", "p.yaml", "its keys are none", ErrorCode.INVALID),
        ("[", "p.yaml", "is not YAML", ErrorCode.NOT_YAML),
        ("mode: off\nmode: off", "p.yaml", "stands twice", ErrorCode.REPEATED_KEY),
        ("[", "p.json", "is not JSON", ErrorCode.NOT_YAML),
        ("[]", "p.json", "is neither a compiled policy", ErrorCode.INVALID),
    ],
)
def test_what_nobody_knows_is_refused(text, where, said, code):
    """A guess would be put in force."""
    with pytest.raises(MigrationError, match=said) as caught:
        migrate(text.encode(), where=where)
    assert caught.value.code is code


def test_a_file_that_is_wrong_for_another_reason_is_not_migrated():
    """Half a migration would be worse than none."""
    with pytest.raises(PolicyError, match="did you mean 'open_floor'"):
        migrate(b"defaults: {open_flor: 0.5, profile_rate: 0.1}", where="p.yaml")


def test_the_command_shows_a_diff_and_writes_only_when_told():
    """Look, then write; a second time there is nothing to do."""
    Path("p.yaml").write_text(OLD)
    shown = run("p.yaml")
    assert "p.yaml:5: profile_rate is removed: seasons now count" in shown.stdout
    assert "+version: 1\n" in shown.stdout
    assert "-  profile_rate: 0.1  # slow\n" in shown.stdout
    assert "give --write" in shown.stderr
    assert Path("p.yaml").read_text() == OLD
    assert run("p.yaml", "--check", code=3).stdout == shown.stdout
    rows = json.loads(run("p.yaml", "--format", "json").stdout)["files"]
    assert (rows[0]["kind"], len(rows[0]["changes"])) == ("policy", 6)
    assert "written p.yaml" in run("p.yaml", "--write").stderr
    assert Path("p.yaml").read_text() == NEW
    assert run("p.yaml", "--check").stdout == "p.yaml: current (policy, version 1)\n"


def test_one_bad_file_leaves_the_good_ones_alone():
    """All or nothing, as with an apply."""
    Path("good.yaml").write_text(OLD)
    Path("bad.yaml").write_text("version: 9\npreset: fixed")
    assert "[wrong-version]" in run("good.yaml", "bad.yaml", "--write", code=2).stderr
    assert Path("good.yaml").read_text() == OLD
    assert "[file]" in run("missing.yaml", code=2).stderr
    assert "give one of them" in run("good.yaml", "--check", "--write", code=2).stderr


@pytest.mark.skipif(shutil.which("patch") is None, reason="this system has no patch")
def test_the_diff_applies():
    """What is shown is what is written: `patch` makes the same file of it."""
    Path("p.yaml").write_text(OLD.removesuffix("\n"))
    shown = run("p.yaml").stdout
    assert "mail: {  }" in shown
    Path("q.yaml").write_text(OLD)
    diff = run("q.yaml").stdout.partition("--- q.yaml")
    done = subprocess.run(
        ["patch", "q.yaml"], input="".join(diff[1:]), text=True, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stdout
    assert Path("q.yaml").read_text() == NEW
