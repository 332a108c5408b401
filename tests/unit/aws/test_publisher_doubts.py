"""Starts without an answer that go through after all: they are the publisher's own, and no person's edit."""

from __future__ import annotations

from flyball.contract import RetryParams, TargetParams
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.fakes import MemoryCheckpoints
from flyball_controller.ports import PublishReport
from simulation.appconfig import IDS, Profile, PublisherClient

CALM, TIGHT = TargetParams(), TargetParams(retry=RetryParams(max_attempts=2, budget_ratio=0.0))


class _World:
    """One publisher, one AppConfig, and a fault for the next call of one name."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0
        self.faults: dict[str, str] = {}
        self.profile = Profile(lambda: self.now_s, lambda *_: None)
        client = PublisherClient(self.profile, lambda operation: self.faults.pop(operation, ""))
        self.publisher = AppConfigPublisher(client, **IDS._asdict(), checkpoints=MemoryCheckpoints())

    def publish(self, params: TargetParams, *, after_s: float = 60.0) -> PublishReport:
        """Let time pass, then publish the parameters of one target."""
        self.now_s += after_s
        return self.publisher.publish({"t": params}, urgent=True, policy_hash="p", now_s=self.now_s)

    def land(self) -> None:
        """Let the late requests arrive."""
        for request in self.profile.late:
            request()


def test_a_start_that_lands_late_is_no_edit():
    """Taken for a person's, it would be left as it is for ever: the target would never be nominal again."""
    world = _World()
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
    world = _World()
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
    world = _World()
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
    world = _World()
    assert world.publish(CALM).status.code == "deployed"
    first = world.publisher.current()
    world.publish(CALM)
    assert first is not None
    assert world.publisher.current() is first
    assert world.publish(TIGHT).status.code == "deployed"
    after = world.publisher.current()
    assert after is not None
    assert after.targets["t"] == TIGHT
