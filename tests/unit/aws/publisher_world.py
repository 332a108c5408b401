"""One publisher and one AppConfig in memory, with faults on demand."""

from __future__ import annotations

from flyball.contract import TargetParams
from flyball_controller.aws.appconfig import AppConfigPublisher
from flyball_controller.fakes import MemoryCheckpoints
from flyball_controller.ports import PublishReport
from simulation.appconfig import IDS, Profile, PublisherClient


class PublisherWorld:
    """One publisher, one AppConfig, and a fault for the next call of one name."""

    def __init__(self) -> None:
        self.now_s = 1_700_000_000.0
        self.faults: dict[str, str] = {}
        self.profile = Profile(lambda: self.now_s, lambda *_: None)
        client = PublisherClient(self.profile, lambda operation: self.faults.pop(operation, ""))
        self.publisher = AppConfigPublisher(client, **IDS._asdict(), checkpoints=MemoryCheckpoints())

    def publish(self, params: TargetParams, *, after_s: float = 60.0, urgent: bool = True) -> PublishReport:
        """Let time pass, then publish the parameters of one target."""
        self.now_s += after_s
        return self.publisher.publish({"t": params}, urgent=urgent, policy_hash="p", now_s=self.now_s)

    def land(self) -> None:
        """Let the late requests arrive."""
        for request in self.profile.late:
            request()
