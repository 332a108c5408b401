"""The journal: nothing lost, nothing twice, read back in the order of time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.aws.journal import DynamoJournal, sort_key
from flyball_controller.ports import PortError
from unit.aws.doubles import Between, Waits

NOW = 1_700_000_000.0


def record(
    at_s: float = NOW, sequence: int = 1, target: str = "payments", **more: object
) -> dict[str, object]:
    """A record with its key fields."""
    return {"target": target, "at_s": at_s, "sequence": sequence, **more}


@pytest.fixture
def journal(dynamodb: Any) -> DynamoJournal:
    """The journal under test."""
    return DynamoJournal(dynamodb, table="flyball-journal", keep_days=30, pauses=Waits().pauses())


def test_records_come_back_in_the_order_of_time_within_a_half_open_range(journal: DynamoJournal):
    """The range includes its beginning and not its end, so that ranges can be joined."""
    journal.append([record(NOW + s, sequence=s + 1, note="é") for s in (2, 0, 1)])
    journal.append([record(NOW, target="search")])
    found = list(journal.read("payments", since_s=NOW, until_s=NOW + 2))
    assert found == [record(NOW, 1, note="é"), record(NOW + 1, 2, note="é")]
    assert list(journal.read("payments", since_s=NOW + 2, until_s=NOW + 2)) == []


def test_the_same_record_twice_is_one_line_also_inside_one_batch(journal: DynamoJournal):
    """A redelivered event journals again (E5); the service refuses equal keys in a batch."""
    journal.append([record(), record()])
    journal.append([record()])
    assert list(journal.read("payments", since_s=NOW, until_s=NOW + 1)) == [record()]


def test_two_decisions_of_one_moment_that_changed_no_state_are_both_kept(journal: DynamoJournal):
    """They share time and sequence; an audit must show both refused observations."""
    both = [record(note="late"), record(note="invalid")]
    journal.append(both)
    found = list(journal.read("payments", since_s=NOW, until_s=NOW + 1))
    assert sorted(found, key=str) == sorted(both, key=str)


def test_more_than_a_batch_and_more_than_a_page_are_stored_and_read(journal: DynamoJournal, dynamodb: Any):
    """25 items per write, 1 MB per page: 60 records of 40 kB need three writes and three pages."""
    between = Between(dynamodb)
    DynamoJournal(between, table="flyball-journal").append(
        [record(NOW + i, i, pad="x" * 40_000) for i in range(60)]
    )
    assert between.calls == {"batch_write_item": 3}
    found = list(
        DynamoJournal(between, table="flyball-journal").read("payments", since_s=0, until_s=NOW + 99)
    )
    assert [entry["sequence"] for entry in found] == list(range(60))
    assert between.calls["query"] >= 3


def test_items_left_unprocessed_are_written_again(dynamodb: Any):
    """A throttled batch write leaves a part undone; a decision must not go missing."""
    between, waits = Between(dynamodb), Waits()
    journal = DynamoJournal(between, table="flyball-journal", pauses=waits.pauses())
    tries = 0

    def nothing_done_at_first(arguments: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal tries
        tries += 1
        return {"UnprocessedItems": arguments["RequestItems"]} if tries == 1 else None

    between.before["batch_write_item"] = nothing_done_at_first
    journal.append([record()])
    assert waits == [0.05]
    assert list(journal.read("payments", since_s=NOW, until_s=NOW + 1)) == [record()]


def test_a_batch_that_stays_undone_fails_and_may_be_repeated(dynamodb: Any):
    """The loop keeps the event unacknowledged then (P8)."""
    between, waits = Between(dynamodb), Waits()
    journal = DynamoJournal(between, table="flyball-journal", pauses=waits.pauses(tries=3))
    between.before["batch_write_item"] = lambda arguments: {"UnprocessedItems": arguments["RequestItems"]}
    with pytest.raises(PortError) as caught:
        journal.append([record()])
    assert caught.value.retryable
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", ""),
        ("target", 3),
        ("at_s", float("nan")),
        ("at_s", "now"),
        ("at_s", True),
        ("sequence", -1),
        ("sequence", 1.0),
        ("sequence", True),
    ],
)
def test_a_record_without_a_key_is_refused_before_anything_is_stored(
    journal: DynamoJournal, field: str, value: object
):
    """Half a batch would be worse than none."""
    with pytest.raises(PortError, match=field) as caught:
        journal.append([record(NOW + 1), {**record(), field: value}])
    assert not caught.value.retryable
    assert list(journal.read("payments", since_s=0, until_s=NOW + 9)) == []


def test_a_record_that_is_no_json_is_refused_with_its_name(journal: DynamoJournal):
    """NaN has no JSON; the journal must stay readable in any language."""
    with pytest.raises(PortError, match="payments"):
        journal.append([record(measured=float("nan"))])


def test_an_unreadable_record_is_shown_and_not_lost(journal: DynamoJournal, dynamodb: Any):
    """An audit that skips what it cannot read hides it."""
    seq = sort_key(NOW, 1, b"")
    item = {"target": {"S": "payments"}, "seq": {"S": seq}, "record": {"S": "[1"}}
    dynamodb.put_item(TableName="flyball-journal", Item=item)
    found = list(journal.read("payments", since_s=NOW, until_s=NOW + 1))
    assert found == [{"target": "payments", "seq": seq, "unreadable": "[1"}]


def test_records_expire_after_the_declared_days(journal: DynamoJournal, dynamodb: Any):
    """30 days are 2,592,000 s."""
    journal.append([record()])
    item = dynamodb.scan(TableName="flyball-journal")["Items"][0]
    assert item["expires"] == {"N": str(1_700_000_000 + 2_592_000)}


@given(
    st.lists(
        st.tuples(st.floats(0, 1e10), st.integers(0, 10**12 - 1)),
        min_size=2,
        max_size=2,
    )
)
def test_sort_keys_as_text_are_in_the_order_of_time_then_of_steps(pair: list[tuple[float, int]]):
    """A range of time is a range of keys only if the padding never runs out."""
    (at_a, step_a), (at_b, step_b) = pair
    a, b = (round(at_a * 1000), step_a), (round(at_b * 1000), step_b)
    if a != b:
        assert (a < b) == (sort_key(at_a, step_a, b"x") < sort_key(at_b, step_b, b"x"))
