"""Time to live in the embedded DynamoDB: items vanish late, and only those that should.

Fidelity: emulator (moto's operations, botocore's own client in front).
"""

from __future__ import annotations

from typing import Any

import pytest

from flyball_local import expiry
from flyball_local.dynamodb import DAY_S, DynamoDBService, create_tables
from flyball_local.virtualclock import VirtualClock
from unit.local.tables import NOW_S, connect, get_state, put_state


def test_an_expired_item_stays_readable_until_its_late_deletion(clock: VirtualClock):
    """Readers must check valid_until themselves (P6): deletion is hours late on the real service."""
    service = DynamoDBService(clock, seed=7, ttl_lag_s=2 * DAY_S)
    client = connect(service)
    create_tables(client)
    put_state(client, 1, expires=NOW_S + 60)
    clock.advance(61)
    assert get_state(client) is not None
    before = service.revision("flyball-state")
    clock.advance(2 * DAY_S)
    assert get_state(client) is None
    assert service.revision("flyball-state") == before + 1


def test_the_lag_of_deletion_differs_by_item_and_repeats_by_seed(clock: VirtualClock):
    """Hours-late deletion is drawn, not fixed, and a seed replays it exactly."""

    def still_there(seed: int) -> list[bool]:
        service = DynamoDBService(VirtualClock(NOW_S), seed=seed, ttl_lag_s=2 * DAY_S)
        client = connect(service)
        create_tables(client)
        for n in range(12):
            client.put_item(
                TableName="flyball-holds",
                Item={"target": {"S": f"t{n}"}, "expires": {"N": str(int(NOW_S) + 1)}},
            )
        service._clock.advance(DAY_S)  # type: ignore[attr-defined]  # the test's own virtual clock
        items = client.scan(TableName="flyball-holds")["Items"]
        return [f"t{n}" in {i["target"]["S"] for i in items} for n in range(12)]

    first = still_there(1)
    assert still_there(1) == first
    assert still_there(2) != first
    assert 0 < sum(first) < 12


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"N": str(int(NOW_S) + 60)}, False),
        ({"S": str(int(NOW_S) + 60)}, True),  # a string is not a time
        ({"N": str(int(NOW_S * 1000))}, True),  # milliseconds lie far in the future
        ({"N": str(int(NOW_S - 6 * 365 * DAY_S))}, True),  # more than five years past: taken for a mistake
    ],
)
def test_only_epoch_seconds_in_a_number_expire(
    client: Any, clock: VirtualClock, value: dict[str, str], kept: bool
):
    """The classic mistakes (string, milliseconds, zero) never delete anything on the real service either."""
    client.put_item(TableName="flyball-state", Item={"key": {"S": "k"}, "expires": value})
    clock.advance(3 * DAY_S)
    assert (get_state(client) is not None) is kept


def test_a_renewed_item_outlives_its_first_expiry(client: Any, clock: VirtualClock):
    """Each publication moves `expires`; the reminder of the old one must not delete the new."""
    put_state(client, 1, expires=NOW_S + 60)
    put_state(client, 2, expires=NOW_S + 600)
    clock.advance(120)
    assert get_state(client)["version"] == {"N": "2"}
    clock.advance(600)
    assert get_state(client) is None


def test_items_written_before_time_to_live_was_switched_on_expire_too(service: DynamoDBService, client: Any):
    """An operator may enable it later; the service then looks at what is there."""
    client.update_time_to_live(
        TableName="flyball-state", TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"}
    )
    put_state(client, 1, expires=NOW_S - 60)
    assert get_state(client) is not None
    client.update_time_to_live(
        TableName="flyball-state", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    assert get_state(client) is None


def test_items_written_again_and_again_leave_no_pile_of_reminders(clock: VirtualClock, monkeypatch):
    """A run of days writes each state thousands of times; the emulator must not be what grows."""
    monkeypatch.setattr(expiry, "REMINDERS_MIN", 20)
    service = DynamoDBService(clock, seed=7, ttl_lag_s=0.0)
    client = connect(service)
    create_tables(client)
    for n in range(100):
        put_state(client, n, expires=NOW_S + 60 + n)
    assert len(service._expiries._heap) <= 21
    clock.advance(158)  # the reminder that counts is still there: 60 + 99 s
    assert get_state(client) is not None
    clock.advance(2)
    assert get_state(client) is None
