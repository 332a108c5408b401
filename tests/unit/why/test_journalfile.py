"""Journals read back and computed again: of a replay, of production, whole, cut and damaged."""

from __future__ import annotations

import gzip

import pytest

from flyball_analytics.journalfile import (
    Chain,
    Entry,
    check_journal,
    decision_of,
    entries_of_table,
    is_journal_name,
    read_journal,
    redo,
    state_of,
)
from flyball_analytics.problems import SeriesError
from flyball_analytics.replay import replay
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.state import initial_state
from flyball_controller.policy_set import load_preset
from journal_runs import OUTAGE, POLICIES, entries, production, replayed, write_journal

for_target = POLICIES.for_target


def test_a_replays_journal_is_reproduced_record_by_record() -> None:
    """Nineteen windows, nineteen records: each from the state that the one before led to."""
    found = check_journal(entries(replayed()), for_target)
    assert (found.records, found.reproduced, found.first, found.targets) == (19, 19, None, 1)


@pytest.mark.parametrize("held", [False, True])
def test_a_production_journal_is_reproduced_from_the_states_in_it(held) -> None:
    """Only news is journalled, and holds enter between two records: each record stands for itself."""
    records = production(held=held)
    found = check_journal(entries(records), for_target)
    assert found.records == len(records) > 3
    assert (found.reproduced, found.mismatched, found.unchained) == (len(records), 0, 0)
    assert all(record["trigger"] == "tick" for record in records)


def test_a_changed_count_is_found_and_named() -> None:
    """Somebody's hand in the journal, or another version: the first record that differs, and its field."""
    records = entries(replayed())
    records[5].record["observation"]["errors_fast"] = 10
    found = check_journal(records, for_target)
    assert found.first is not None
    entry, mismatch = found.first
    assert (entry.place, mismatch.number) == ("j:6", 5)
    # Regime, setpoint and evidence differ: the first in the alphabet is shown.
    assert mismatch.field == "applied"
    assert (found.reproduced, found.mismatched, found.unchained) == (5, 1, 13)


def test_another_policy_is_named_as_such() -> None:
    """It differs in every record; the policy is what has to be mended."""
    found = check_journal(entries(production()), load_preset("adaptive").for_target)
    assert found.first is not None
    assert found.first[1].field == "policy_hash"
    assert found.reproduced == 0


def test_a_cut_journal_without_states_cannot_be_recomputed_and_says_so() -> None:
    """Its first records are gone, and with them the states."""
    found = check_journal(entries(replayed()[3:]), for_target)
    assert (found.reproduced, found.mismatched, found.unchained) == (0, 0, 16)


def test_events_are_no_decisions() -> None:
    """A damaged state was reset: noted in the journal, nothing to recompute."""
    event = {"schema": 1, "target": "t", "at_s": 1.0, "sequence": 0, "event": "CHECKPOINT_RESET"}
    found = check_journal([Entry("j:1", event), *entries(replayed())], for_target)
    assert (found.events, found.reproduced) == (1, 19)
    with pytest.raises(CheckpointError, match="j:1: holds no observation"):
        redo(Entry("j:1", event), initial_state(for_target("t")), for_target("t"))


def test_a_decision_is_read_back_as_it_was_made() -> None:
    """All of it that a journal keeps; the stamp of the newest window is the state's and stays there."""
    for one, entry in zip(replay(OUTAGE, policy=for_target("t")), entries(replayed()), strict=True):
        assert decision_of(entry) == one.decision._replace(stamp_s=-1.0)
    with pytest.raises(CheckpointError, match="j:9: is no decision record"):
        decision_of(Entry("j:9", {"at_s": 1.0}))


def test_a_damaged_state_in_a_record_is_named_with_its_place() -> None:
    """Base64 that is none, and bytes that are no state."""
    assert state_of(Entry("j:1", {})) is None
    for text in ("nonsense!", "AAAA"):
        with pytest.raises(CheckpointError, match="j:4: the state in the record is damaged"):
            state_of(Entry("j:4", {"state": text}))


def test_a_damaged_observation_is_named_with_its_place() -> None:
    """An unknown field is another format, not something to be ignored."""
    records = entries(replayed())
    records[2].record["observation"]["requets"] = 3
    with pytest.raises(CheckpointError, match=r"j:3: observation has an unknown field 'requets'"):
        check_journal(records, for_target)


def test_without_a_policy_only_states_in_records_are_known() -> None:
    """The chain of hashes needs the step, and the step needs the policy."""
    chain = Chain(None)
    assert chain.before(entries(replayed())[0]) is None
    chain.advance(entries(replayed())[0], initial_state(for_target("t")))
    assert chain.before(entries(production())[0]) is not None


def test_files_are_read_plain_and_compressed(tmp_path) -> None:
    """Exports come gzipped; blank lines mean nothing; places are file and line."""
    path = write_journal(tmp_path / "j.jsonl", replayed())
    packed = tmp_path / "j.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\n" + path.read_bytes()))
    assert [e.record for e in read_journal(packed)] == [e.record for e in read_journal(path)]
    assert next(read_journal(packed)).place == f"{packed}:2"
    assert is_journal_name(packed)
    assert not is_journal_name(tmp_path / "pay.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [("{}\nnot json\n", "2: is no JSON"), ("[1]\n", "1: is a JSON list, not an object")],
)
def test_a_line_that_is_no_record_is_named(tmp_path, text, words) -> None:
    """File and line, so that it can be looked at."""
    path = tmp_path / "j.jsonl"
    path.write_text(text)
    with pytest.raises(SeriesError, match=words):
        list(read_journal(path))


def test_a_file_that_cannot_be_opened_is_named(tmp_path) -> None:
    """And one that was cut while it was packed."""
    with pytest.raises(SeriesError, match="No such file"):
        list(read_journal(tmp_path / "none.jsonl"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b"{}\n" * 9)[:-9])
    with pytest.raises(SeriesError, match="cannot be read"):
        list(read_journal(cut))


class Table:
    """A journal table with one target."""

    def read(self, target: str, *, since_s: float, until_s: float):
        """Its records in the span."""
        yield from (r for r in replayed() if r["target"] == target and since_s <= r["at_s"] < until_s)


def test_a_table_gives_the_same_records() -> None:
    """Half-open in time; places say table, target and number."""
    third = replayed()[2]["at_s"]
    found = list(entries_of_table(Table(), "t", since_s=0.0, until_s=third, table="journal"))
    assert [entry.place for entry in found] == ["table journal, t, record 1", "table journal, t, record 2"]
