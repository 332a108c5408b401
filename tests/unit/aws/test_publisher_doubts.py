"""Starts without an answer that go through after all: they are the publisher's own, and no person's edit."""

from __future__ import annotations

from flyball.contract import RetryParams, TargetParams
from unit.aws.publisher_world import PublisherWorld

CALM, TIGHT = TargetParams(), TargetParams(retry=RetryParams(max_attempts=2, budget_ratio=0.0))


def test_a_start_that_lands_late_is_no_edit():
    """Taken for a person's, it would be left as it is for ever: the target would never be nominal again."""
    world = PublisherWorld()
    assert world.publish(CALM).status.code == "deployed"
    world.faults["StartDeployment"] = "late"
    assert world.publish(TIGHT).status.code == "failed"
    world.land()
    report = world.publish(CALM)
    assert report.found_edited == report.kept_edited == ()
    assert report.status.code == "deployed"
    document = world.profile.standing()
    assert document is not None
    assert document.targets["t"] == CALM


def test_a_first_start_that_slept_is_no_edit():
    """AppConfig has no lock for the first deployment: who slept before it may start over a later one."""
    world = PublisherWorld()
    world.faults["StartDeployment"] = "late"
    assert world.publish(TIGHT).status.code == "failed"
    assert world.publish(CALM).status.code == "deployed"
    world.now_s += 60.0
    world.land()
    assert world.publish(CALM).found_edited == ()
    document = world.profile.standing()
    assert document is not None
    assert document.targets["t"] == CALM


def test_a_doubt_ends_when_a_later_start_goes_through():
    """From then on the same content is somebody's decision: AppConfig's lock no longer lets the start in."""
    world = PublisherWorld()
    world.publish(CALM)
    world.faults["StartDeployment"] = "late"
    world.publish(TIGHT)
    loose = TargetParams(retry=RetryParams(max_attempts=3))
    assert world.publish(loose).status.code == "deployed"
    tight_version = next(n for n, (data, _) in world.profile.versions.items() if b'"max_attempts":2' in data)
    world.now_s += 60.0
    assert world.profile.deploy_by_hand(world.profile.versions[tight_version][0])
    assert world.publish(loose).found_edited == ("t",)


def test_a_document_that_stands_is_read_once():
    """A tick of a large fleet would spend more on reading the same bytes again than on deciding."""
    world = PublisherWorld()
    assert world.publish(CALM).status.code == "deployed"
    first = world.publisher.current()
    world.publish(CALM)
    assert first is not None
    assert world.publisher.current() is first
    assert world.publish(TIGHT).status.code == "deployed"
    after = world.publisher.current()
    assert after is not None
    assert after.targets["t"] == TIGHT
