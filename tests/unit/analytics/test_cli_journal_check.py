"""`flyball replay --journal-check`: records follow from their inputs, or the first that does not is shown."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from journal_runs import production, replayed, write_journal


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, ["replay", "--journal-check", *(str(a) for a in arguments)])


@pytest.mark.parametrize("records", [replayed(), production(), production(held=True)])
def test_a_sound_journal_is_reproduced(tmp_path, records) -> None:
    """Of a replay, of production, of production with an operator's hold."""
    result = run(write_journal(tmp_path / "j.jsonl", records))
    assert result.exit_code == 0
    assert f"reproduced  {len(records)} byte for byte" in result.stdout


def test_the_first_difference_is_shown_readable_with_the_command_that_explains_it(tmp_path) -> None:
    """Which record, which field, both values; exit code 1."""
    records = production()
    place = next(n for n, record in enumerate(records) if record["changed"])
    records[place]["regime"] = "NOMINAL"
    path = write_journal(tmp_path / "j.jsonl", records)
    result = run(path)
    assert result.exit_code == 1
    for words in [
        "differ      1",
        f"first       {path}:{place + 1}, t@{records[place]['sequence']}, regime:",
        '    recorded    "NOMINAL"',
        '    recomputed  "DEAD"',
        f"why t@{records[place]['sequence']} {path} --reproduce",
    ]:
        assert words in result.stdout


def test_another_policy_is_said_to_be_one(tmp_path) -> None:
    """Only if it was named: else the preset that the records name is taken."""
    path = write_journal(tmp_path / "j.jsonl", production())
    result = run(path, "--policy", "fixed")
    assert result.exit_code == 1
    assert "decided under another policy" in result.stdout
    from flyball_analytics.replay import replay
    from flyball_controller.policy_set import load_preset
    from journal_runs import OUTAGE

    adaptive = [one.record() for one in replay(OUTAGE, policy=load_preset("adaptive").for_target("t"))]
    found = run(write_journal(tmp_path / "a.jsonl", adaptive))
    assert (found.exit_code, "policy adaptive" in found.stdout) == (0, True)


def test_what_cannot_be_recomputed_is_not_called_sound(tmp_path) -> None:
    """The beginning is missing, or the journal is empty: exit code 4."""
    result = run(write_journal(tmp_path / "j.jsonl", replayed()[3:]))
    assert (result.exit_code, "unknown     16" in result.stdout) == (4, True)
    assert run(write_journal(tmp_path / "empty.jsonl", [])).exit_code == 4


def test_json_says_the_same(tmp_path) -> None:
    """One object per journal; events are counted apart."""
    event = {"schema": 1, "target": "t", "at_s": 1.0, "sequence": 0, "event": "CHECKPOINT_RESET"}
    sound = write_journal(tmp_path / "a.jsonl", [event, *replayed()])
    broken = production()
    broken[0]["evidence"] = [{"note": "x" * 500}]
    result = run(sound, write_journal(tmp_path / "b.jsonl", broken), "--format", "json")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["decisions"], first["events"], first["first_mismatch"]) == (19, 1, None)
    assert second["first_mismatch"]["field"] == "evidence"
    assert result.exit_code == 1
    text = run(sound).stdout
    assert "events      1 without a decision" in text
    assert "… (5" in run(tmp_path / "b.jsonl").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "needs journal files or --table"),
        (("--table", "journal"), "needs --target"),
    ],
)
def test_what_is_missing_is_said(arguments, words) -> None:
    """Exit code 2."""
    result = run(*arguments)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_without_the_option_a_history_is_needed() -> None:
    """And a table is none."""
    assert CliRunner().invoke(cli, ["replay"]).exit_code == 2
    result = CliRunner().invoke(cli, ["replay", "x.csv", "--table", "j"])
    assert (result.exit_code, "--table needs --journal-check" in result.stderr) == (2, True)


def test_only_one_target_is_checked_if_asked(tmp_path) -> None:
    """A journal of many."""
    records = [*replayed(), {**replayed()[0], "target": "u"}]
    path = write_journal(tmp_path / "j.jsonl", records)
    assert run(path).exit_code == 1
    assert run(path, "--target", "t").exit_code == 0


def test_the_journal_table_is_checked(monkeypatch) -> None:
    """What DynamoDB gives back is byte for byte what was decided."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto")
    from flyball_controller.aws.journal import DynamoJournal

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    keys = ("target", "HASH"), ("seq", "RANGE")
    with moto.mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName="journal",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        records = production()
        DynamoJournal(client, table="journal").append(records)
        arguments = ("--table", "journal", "--target", "t", "--region", "eu-west-1")
        result = run(*arguments)
        records[0]["regime"] = "BLIND"
        DynamoJournal(client, table="journal").append(records[:1])
        changed = run(*arguments)
    assert (result.exit_code, f"reproduced  {len(records)} byte" in result.stdout) == (0, True), result.stderr
    assert changed.exit_code == 1
    assert "why t@" in changed.stdout
    assert "--table journal --reproduce" in changed.stdout
