"""`flyball why` as a user runs it, over journals, histories and a table."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from core_runs import T0
from flyball_analytics.cli import cli
from flyball_analytics.cli import why as command
from flyball_analytics.moments import utc
from flyball_analytics.whyfind import DecisionError, parse_decision_id
from flyball_controller.codec import canonical_json, decode_state, observation_from_json
from flyball_controller.core.step import step
from journal_runs import POLICIES, production, replayed, write_journal


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, ["why", *(str(a) for a in arguments)])


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """What a replay of the outage wrote."""
    return write_journal(tmp_path / "journal.jsonl", replayed())


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Twenty minutes of which four are an outage."""
    lines = [f"{T0 + 60 * m:.0f},600,{600 if 5 <= m < 9 else 0}" for m in range(20)]
    path = tmp_path / "pay.csv"
    path.write_text("\n".join(["timestamp,requests,errors", *lines]) + "\n")
    return path


def test_a_decision_is_told_with_reasons_levels_and_what_would_have_changed_it(journal) -> None:
    """The sixth window is the first bad one: all that a person asks, on one screen."""
    result = run("t@6", journal)
    assert result.exit_code == 0, result.stderr
    for words in [
        "t@6, decided 2023-11-14T22:06:20Z, policy two-loop (",
        "did        retry budget 0.2 -> 0",
        "regime     nominal -> dead",
        "because    nearly all fail: error rate at least",
        "seen       window 2023-11-14T22:05:00Z (1 min): 600 requests, 600 failed (100 %)",
        "held       normal here is 0 % failures",
        "otherwise  ",
        "failures fewer",
        "no more failures would have changed what was done",
        "why t@6",
    ]:
        assert words in result.stdout


def test_a_time_names_the_decision_in_force_then(journal) -> None:
    """Somebody remembers when, not which; that it was made a little earlier is said."""
    result = run(f"t@{utc(T0 + 399.0)}", journal)
    assert "t@6, decided" in result.stdout
    assert "no decision was made then; this one, made 2023-11-14T22:06:20Z, was the newest" in result.stdout
    exact = run(f"t@{T0 + 380.0:.0f}", journal)
    assert "t@6, decided" in exact.stdout
    assert "asked" not in exact.stdout


def test_json_carries_the_inputs_and_they_reproduce_the_decision(journal) -> None:
    """From nothing but the document, the policy and the step."""
    found = json.loads(run("t@6", journal, "--format", "json").stdout)
    state = decode_state(base64.b64decode(found["state"]))
    seen = observation_from_json(found["observation"])
    _, decision = step(state, seen, POLICIES.for_target("t"))
    assert json.loads(canonical_json(decision.applied)) == found["applied"]
    assert json.loads(canonical_json(list(decision.evidence))) == found["evidence"]
    assert (found["schema"], found["decision"], found["reproduced"]) == (1, "t@6", None)
    assert found["held"]["trip_open"] == 0.6
    nearest = found["otherwise"][0]
    assert nearest["change"] < 0
    assert nearest["exact"]


def test_markdown_is_for_the_notes_of_an_incident(journal) -> None:
    """A bold head and a list."""
    lines = run("t@6", journal, "--format", "markdown").stdout.splitlines()
    assert lines[0].startswith("**t@6**, decided")
    assert "- did: retry budget 0.2 -> 0" in lines


def test_production_records_are_explained_from_their_own_state(tmp_path) -> None:
    """One line is enough: cut out of the middle, it still explains and reproduces itself."""
    records = production()
    one = next(record for record in records if record["changed"])
    path = write_journal(tmp_path / "line.ndjson", [one])
    result = run(f"t@{one['sequence']}", path, "--reproduce")
    assert result.exit_code == 0
    assert "reproduced byte for byte the same record" in result.stdout


def test_who_held_and_what_the_fleet_forbade_is_told(tmp_path) -> None:
    """An operator's hold decides against every number."""
    held = [r for r in production(held=True) if any(e["reason"] == "OPERATOR_HOLD" for e in r["evidence"])]
    path = write_journal(tmp_path / "held.jsonl", held)
    result = run(f"t@{held[0]['sequence']}", path)
    assert "held by ann until" in result.stdout
    assert ": looking" in result.stdout


def test_a_record_that_does_not_follow_ends_with_1_and_says_what_differs(tmp_path) -> None:
    """A number changed by hand in the journal."""
    one = next(record for record in production() if record["changed"])
    one["regime"] = "NOMINAL"
    path = write_journal(tmp_path / "j.jsonl", [one])
    result = run(f"t@{one['sequence']}", path, "--reproduce")
    assert result.exit_code == 1
    assert "NOT the same: regime is 'NOMINAL' in the record" in result.stdout


def test_a_history_is_replayed_up_to_the_decision(history, tmp_path) -> None:
    """No journal is needed; another policy may be asked."""
    result = run("pay@6", history, "--reproduce")
    assert result.exit_code == 0, result.stderr
    assert "did        retry budget 0.2 -> 0" in result.stdout
    assert "byte for byte" in result.stdout
    fixed = run("pay@6", history.parent, "--policy", "fixed")
    assert "policy fixed (" in fixed.stdout
    assert "--policy fixed --reproduce" in fixed.stdout


def test_an_uneventful_window_is_explained_too(history) -> None:
    """Why did it do nothing? What stays in force is said."""
    result = run("pay@2", history)
    assert "no change: 4 attempts, budget 0.2, circuit closed stays" in result.stdout
    assert "no fewer failures would have changed" in result.stdout


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ("t", "write target@sequence or target@time"),
        ("t@noon", "or a sequence"),
        ("t@99", "sequences here go from 1 to 19"),
        ("u@6", "there is no decision on 'u'; targets here are t"),
        ("t@2001-01-01T00:00:00Z", "lies before the first decision here"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(journal, decision, words) -> None:
    """Exit code 2, and what to ask instead."""
    result = run(decision, journal)
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_a_history_of_others_is_said(history, tmp_path) -> None:
    """One file of another target, and a folder of several."""
    folder = tmp_path / "many"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text(history.read_text())
    result = run("x@6", folder)
    assert (result.exit_code, "targets here are a, b" in result.stderr) == (2, True)
    assert run("b@6", folder).exit_code == 0
    early = run("pay@2001-01-01T00:00:00Z", history)
    assert (early.exit_code, "lies before the first decision" in early.stderr) == (2, True)


def test_a_source_is_needed_and_one_only(journal) -> None:
    """A file or a table."""
    assert run("t@6").exit_code == 2
    assert run("t@6", journal, "--table", "x").exit_code == 2


def test_another_policy_cannot_explain_it(journal, tmp_path) -> None:
    """Its counterfactuals would be about another decision; an unknown one asks for its file."""
    result = run("t@6", journal, "--policy", "adaptive")
    assert (result.exit_code, "give the policy file that was in force" in result.stderr) == (2, True)
    one = next(record for record in production() if record["changed"])
    known = write_journal(tmp_path / "known.jsonl", [one])
    other = run(f"t@{one['sequence']}", known, "--policy", "adaptive")
    assert (other.exit_code, "give the policy file that was in force" in other.stderr) == (2, True)
    unknown = write_journal(tmp_path / "unknown.jsonl", [{**one, "policy_hash": "feed"}])
    result = run(f"t@{one['sequence']}", unknown)
    assert (result.exit_code, "which is no preset" in result.stderr) == (4, True)


def test_a_cut_journal_without_states_leads_nowhere(tmp_path) -> None:
    """Its beginning is missing: the hash of the state is known, the state is not."""
    path = write_journal(tmp_path / "cut.jsonl", replayed()[3:])
    result = run("t@6", path)
    assert (result.exit_code, "carries no state" in result.stderr) == (4, True)


class Table:
    """A journal table that notes what was read."""

    def __init__(self, records) -> None:
        self.records = records
        self.read_spans: list[tuple[float, float]] = []

    def read(self, target, *, since_s, until_s):
        """Records in the span."""
        self.read_spans.append((since_s, until_s))
        yield from (r for r in self.records if r["target"] == target and since_s <= r["at_s"] < until_s)


def test_a_table_is_searched_a_day_back_from_a_time_and_only_then_all_of_it() -> None:
    """A year of records costs; the decision in force is nearly always of the last day."""
    table = Table(production())
    last_s = max(r["at_s"] for r in table.records)
    wanted = parse_decision_id(f"t@{last_s + 10.0:.0f}")
    found = list(command.table_entries(table, wanted, table="j", now_s=last_s + 999.0))
    assert len(found) == len(table.records)
    assert len(table.read_spans) == 1
    late = parse_decision_id(f"t@{last_s + 200_000.0:.0f}")
    assert len(list(command.table_entries(table, late, table="j", now_s=0.0))) == len(table.records)
    assert len(table.read_spans) == 3
    by_number = list(command.table_entries(table, parse_decision_id("t@1"), table="j", now_s=last_s + 1.0))
    assert len(by_number) == len(table.records)


def test_the_journal_table_of_dynamodb_is_read(monkeypatch) -> None:
    """The command end to end, with the table's client replaced by the embedded one."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto")
    from flyball_controller.aws.journal import DynamoJournal

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="journal",
            KeySchema=[
                {"AttributeName": "target", "KeyType": "HASH"},
                {"AttributeName": "seq", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "target", "AttributeType": "S"},
                {"AttributeName": "seq", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        records = production()
        DynamoJournal(client, table="journal").append(records)
        one = next(record for record in records if record["changed"])
        result = run(f"t@{one['sequence']}", "--table", "journal", "--region", "eu-west-1", "--reproduce")
    assert result.exit_code == 0, result.stderr
    assert "from       table journal, t, record" in result.stdout
    assert "byte for byte" in result.stdout


def test_ids_are_sequences_or_times() -> None:
    """A number below the year 2000 can be no moment."""
    assert str(parse_decision_id("a@b@12")) == "a@b@12"
    assert str(parse_decision_id("a@1700000000")) == "a@2023-11-14T22:13:20Z"
    with pytest.raises(DecisionError):
        parse_decision_id("@3")
