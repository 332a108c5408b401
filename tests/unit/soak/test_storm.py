"""An alarm storm in small: nothing lost, bounded work, and each of its checks able to fail."""

from __future__ import annotations

import json

import pytest

EVENTS, TARGETS = 120, 20


@pytest.fixture(scope="module")
def weathered():
    """A storm of 120 events (156 or so with duplicates) about twenty targets, two of which fail."""
    import storm_world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storm_world, "SINGLES", 20)
        return storm_world.storm(EVENTS, targets=TARGETS)


def test_nothing_is_lost_and_nothing_dies(weathered):
    """Each event is looked at, no queue keeps one, and every state rests on the newest minute."""
    assert weathered.deliveries > EVENTS  # some came twice
    assert (weathered.lost, weathered.left, weathered.dead, weathered.behind) == (0, 0, 0, 0)


def test_the_failing_targets_are_restricted_and_no_others(weathered):
    """A storm of alarms about healthy targets restricts nobody: alarms wake, metrics decide."""
    assert weathered.failing == 2
    assert weathered.restricted == 2


def test_the_work_is_bounded_by_batches_and_minutes_not_by_events(weathered):
    """Ten events share a round; a minute of a target is asked for once, whoever asks."""
    assert weathered.invocations == -(-weathered.deliveries // 10)
    assert (
        weathered.calls["metric queries"] <= 2 * 10 * TARGETS
    )  # two minutes at most become complete meanwhile
    assert weathered.calls["BatchGetItem"] <= 4 * weathered.invocations
    assert weathered.calls["appconfig StartDeployment"] <= 2


def test_a_handler_that_fails_leaves_its_events_in_the_dead_letter_queue(monkeypatch):
    """The checks of the storm are no tautology: what is not dealt with is found."""
    import storm_world

    def failing(event, context=None):
        raise RuntimeError("no")

    monkeypatch.setattr(storm_world.alarm, "handler", failing)
    monkeypatch.setattr(storm_world, "_alone", lambda world, made: 1.0)
    found = storm_world.storm(20, targets=10)
    assert found.dead >= found.deliveries  # and the alarms of the fleet itself
    assert found.left == 0
    assert found.lost == found.deliveries


def test_a_handler_that_forgets_a_batch_is_found_out(monkeypatch):
    """Acknowledged and not looked at: the worst kind of loss, for nothing else would tell of it."""
    import storm_world

    handler = storm_world.alarm.handler

    def forgetful(event, context=None):
        if "Records" in event:
            return {"batchItemFailures": []}
        return handler(event, context)

    monkeypatch.setattr(storm_world.alarm, "handler", forgetful)
    monkeypatch.setattr(storm_world, "_alone", lambda world, made: 1.0)
    found = storm_world.storm(20, targets=10)
    assert (found.dead, found.left) == (0, 0)
    assert found.lost == found.deliveries
    assert found.behind == 10


def test_the_events_are_those_that_the_handler_reads(capsys, weathered):
    """What is printed says whether it held, and the exit code too."""
    from storm_world import alarm_event, print_storm

    assert print_storm(weathered) == 0
    assert print_storm(weathered._replace(wakes=0)) == 1
    assert "FAILS" in capsys.readouterr().out
    event = alarm_event("a", state="ALARM", at_s=1_700_000_000.25, event_id="1")
    assert json.loads(json.dumps(event))["detail"]["state"]["timestamp"] == "2023-11-14T22:13:20.250+0000"
