"""`flyball replay` as a user runs it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.cli import progress as progress_module
from flyball_analytics.cli.files import write_whole
from flyball_analytics.cli.progress import with_progress
from flyball_analytics.clock import SystemClock
from flyball_analytics.replay import verify_journal
from flyball_controller.policy_set import load_preset

NOON_S = 1_700_049_600
HEAD = "timestamp,requests,errors"


def run(*arguments: object):
    """Run flyball in this process."""
    return CliRunner().invoke(cli, ["replay", *(str(a) for a in arguments)])


def rows(errors: Sequence[int], first: int = 0) -> list[str]:
    """One minute per number, 600 requests each."""
    return [f"{NOON_S + 60 * (first + i)},600,{count}" for i, count in enumerate(errors)]


OUTAGE = [0] * 5 + [600] * 4 + [0] * 12


@pytest.fixture
def pay(write) -> Path:
    """Twenty-one minutes with an outage from minute 5 to 8."""
    return write("pay.csv", HEAD, *rows(OUTAGE))


@pytest.fixture
def labels(write) -> Path:
    """The outage, labelled."""
    incident = {"start": "2023-11-15 12:05:00", "end": "2023-11-15 12:08:00"}
    return write("labels.json", json.dumps({"series": {"pay.csv": {"incidents": [incident], "rows": 21}}}))


def test_a_replay_tells_header_decisions_totals_and_what_to_try_next(pay) -> None:
    """Everything on one screen, on stdout; nothing on stderr."""
    result = run(pay)
    assert result.exit_code == 0
    assert result.stderr == ""
    for words in [
        "target pay, policy two-loop",
        "21 rows",
        "2023-11-15T12:06:00Z  dead",
        "circuit closed -> open",
        "2 tightened (1 opened)",
        "open loop",
        "next: flyball replay",
        "next: flyball explain ",
    ]:
        assert words in result.stdout


def test_labels_add_the_score(pay, labels) -> None:
    """Decided at the end of the first bad minute: no row late, 60 s."""
    result = run(pay, "--labels", labels)
    assert (
        "1 incident: 1 recognised, 1 answered, 1 opened; recognised 0 rows late (median), 1 min"
        in result.stdout
    )
    assert "0 alarms, 0 actions, 0 opens" in result.stdout


def test_the_json_is_the_journal_and_always_the_same_bytes(pay) -> None:
    """One canonical record per line; it verifies against the same policy."""
    first, second = run(pay, "--format", "json"), run(pay, "--format", "json")
    assert first.exit_code == 0
    assert first.stdout == second.stdout
    records = [json.loads(line) for line in first.stdout.splitlines()]
    assert len(records) == 21
    assert verify_journal(records, policy=load_preset("two-loop").for_target("pay")) == (21, None)
    assert list(records[0]) == sorted(records[0])


def test_a_replay_continues_from_a_stored_state(write, pay, tmp_path) -> None:
    """Two halves give the journal of the whole."""
    whole = run(pay, "--format", "json").stdout
    first = write("pay1.csv", HEAD, *rows(OUTAGE[:7]))
    second = write("pay2.csv", HEAD, *rows(OUTAGE[7:], 7))
    state = tmp_path / "pay.state"
    one = run(first, "--target", "pay", "--format", "json", "--state-out", state).stdout
    two = run(second, "--target", "pay", "--format", "json", "--state-in", state).stdout
    assert one + two == whole


def test_a_part_can_be_replayed(pay) -> None:
    """From is inside, to is outside."""
    result = run(pay, "--from", "2023-11-15 12:05", "--to", "2023-11-15T12:07:00Z", "--format", "json")
    assert len(result.stdout.splitlines()) == 2


def test_presets_decide_differently(pay) -> None:
    """The policy matters, and its hash stands in the header."""
    texts = {
        preset: run(pay, "--policy", preset).stdout for preset in ("two-loop", "fixed", "ladder", "adaptive")
    }
    assert "attempts 4 -> 2" in texts["ladder"]
    assert "attempts 4 -> 2" not in texts["two-loop"]
    assert len({text.splitlines()[0] for text in texts.values()}) == 4
    assert "next: flyball replay" in texts["adaptive"]


def test_a_folder_gives_a_line_per_target_and_skips_what_is_no_history(write, pay, labels, tmp_path) -> None:
    """The exit code stays 0: what was skipped is said on stderr."""
    write("mail.csv", HEAD, *rows([0] * 4))
    write("other.csv", "a,b", "1,2")
    result = run(tmp_path, "--summary", "--labels", labels)
    assert result.exit_code == 0
    assert "skipped" in result.stderr
    assert "other.csv:1: no column for timestamp" in result.stderr
    assert "not labelled: " in result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()[2:] if line][:2] != []
    assert "all 2 targets" in result.stdout
    assert "decided at" not in result.stdout


def test_the_json_summary_has_an_object_per_file_and_a_total(write, pay, labels) -> None:
    """For programs that compare policies."""
    mail = write("mail.csv", HEAD, *rows([0] * 4))
    result = run(pay, mail, "--summary", "--format", "json", "--labels", labels)
    first, second, total = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["target"], first["score"]["answered"]) == ("pay", 1)
    assert (second["target"], second["score"]) == ("mail", None)
    assert (total["target"], total["score"]["incidents"]) == ("*", 1)
    unlabelled = run(pay, "--summary", "--format", "json")
    assert len(unlabelled.stdout.splitlines()) == 1


def test_several_files_with_labels_end_with_the_total(write, pay, labels) -> None:
    """The sum is what one wants to know."""
    mail = write("mail.csv", HEAD, *rows([0] * 4))
    result = run(pay, mail, "--labels", labels)
    assert "all 2 targets" in result.stdout
    assert result.stdout.count("decided at") == 1
    assert "No decision changed anything." in result.stdout


def test_columns_and_period_and_delay_can_be_given(write) -> None:
    """A foreign export needs no editing."""
    path = write("x.csv", "when,calls,bad", f"{NOON_S},10,1")
    result = run(
        path,
        "--column", "timestamp=when", "--column", "requests=calls", "--column", "errors=bad",
        "--period", "5m", "--delay", "20s", "--format", "json", "--no-latency",
    )  # fmt: skip
    (record,) = (json.loads(line) for line in result.stdout.splitlines())
    assert record["at_s"] == NOON_S + 320.0
    assert record["observation"]["errors_fast"] == 1


def test_labels_of_other_data_are_pointed_out(write, labels) -> None:
    """The number of rows is the only thing that tells."""
    path = write("pay.csv", HEAD, *rows([0] * 4))
    assert "4 rows, but 21 were labelled" in run(path, "--labels", labels).stderr


def test_nothing_to_judge_is_inconclusive(write) -> None:
    """Exit code 4, and the problems are shown."""
    path = write("pay.csv", HEAD, *rows([601, 601]))
    result = run(path)
    assert result.exit_code == 4
    assert "2 x more errors than requests" in result.stdout
    assert "no row carries evidence (2 read)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.csv"], "none.csv: cannot be read"),
        (["wrong.csv"], "no column for timestamp: columns found are a, b"),
        (["pay.csv", "--policy", "two-lop"], "two-loop"),
        (["pay.csv", "--labels", "none.json"], "none.json: cannot be read"),
        (["pay.csv", "--labels", "foreign.json"], 'no labels for "pay.csv"'),
        (["pay.csv", "--state-in", "none.state"], "none.state"),
        (["pay.csv", "--state-in", "wrong.csv"], "checkpoint"),
        (["pay.csv", "--period", "soon"], "is not a span greater than 0"),
        (["pay.csv", "--from", "soon"], "is not a moment"),
        (["pay.csv", "--column", "requests"], "is not FIELD=COLUMN"),
        (["pay.csv", "--column", "reqests=requests"], "did you mean 'requests'"),
        (["pay.csv", "pay.csv", "--target", "x"], "exactly one file"),
        (["pay.csv", "--state-out", "no/such/folder/x"], "No such file"),
        (["empty"], "holds no CSV file"),
        (["useless"], "no column for timestamp"),
        (["useless2"], "none of the files is a metric history"),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_call_ends_with_2_and_one_clear_paragraph(
    write, pay, tmp_path, monkeypatch, arguments, words
) -> None:
    """Never a traceback; the message says what to do."""
    write("wrong.csv", "a,b", "1,2")
    write("foreign.json", '{"series": {"mail.csv": {}}}')
    (tmp_path / "empty").mkdir()
    write("useless/a.csv", "a,b")
    write("useless2/a.csv", "a,b")
    write("useless2/b.csv", "a,b")
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_a_wrong_file_among_several_is_refused_before_anything_is_written(write, pay) -> None:
    """Half a result would be taken for the whole."""
    result = run(pay, write("wrong.csv", "a,b", "1,2"))
    assert (result.exit_code, result.stdout) == (2, "")


def test_rows_after_now_are_impossible(pay) -> None:
    """--now makes a replay independent of the day on which it runs."""
    result = run(pay, "--now", "2023-11-15T12:10:30Z")
    assert "10 x timestamp in the future" in result.stdout


def test_a_file_is_written_whole_or_not_at_all(tmp_path) -> None:
    """An interrupted write leaves the old state and no debris."""
    path = tmp_path / "x.state"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, "text")  # type: ignore[arg-type]  # what goes wrong in the middle of a write
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


class Ticking(SystemClock):
    """A clock on which each look costs a second."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def steady_s(self) -> float:
        """Return one second more than before."""
        self.at_s += 1.0
        return self.at_s


def test_progress_appears_only_on_a_terminal_and_only_when_it_takes_long(monkeypatch) -> None:
    """Nobody wants a bar for a tenth of a second, or in a log file."""
    drawn = io.StringIO()
    monkeypatch.setattr(progress_module.sys, "stderr", drawn)
    items = list(range(256 * 6))
    assert list(with_progress(items, total=len(items), label="pay", clock=Ticking(), terminal=False)) == items
    assert drawn.getvalue() == ""
    assert (
        list(with_progress(items[:300], total=300, label="pay", clock=Ticking(), terminal=True))
        == items[:300]
    )
    assert drawn.getvalue() == ""
    assert list(with_progress(items, total=len(items), label="pay", clock=Ticking(), terminal=True)) == items
    assert "pay" in drawn.getvalue()


def test_the_clock_is_the_systems() -> None:
    """The one adapter: wall time after 2020, steady time that does not run back."""
    clock = SystemClock()
    assert clock.now_s() > 1_577_836_800.0
    assert clock.steady_s() <= clock.steady_s()
