"""One AWS account for the publisher: AppConfig embedded and attached to boto3, a store, a virtual clock."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from flyball.contract import Document, RetryParams, TargetParams, decode_document
from flyball_controller.aws.appconfig import RECORD_KEY, AppConfigPublisher
from flyball_controller.aws.appconfig_setup import ensure_config
from flyball_controller.aws.publish_plan import Limits, Record, decode_record
from flyball_controller.aws.settings import AppConfigIds
from flyball_controller.ports import Checkpoint, Conflict, PortError, PublishReport, Saved
from flyball_local.appconfig import AppConfigService
from flyball_local.virtualclock import VirtualClock

NOW = 1_700_000_000.0
CALM = TargetParams()
TIGHT = TargetParams(retry=RetryParams(max_attempts=2, budget_ratio=0.0))
LOOSE = TargetParams(retry=RetryParams(max_attempts=3))


class Store:
    """A Checkpoints of one process, which can be told to fail or to lose a race."""

    def __init__(self) -> None:
        self.items: dict[str, Checkpoint] = {}
        self.lose_next = 0
        self.fail_saves_after: int | None = None
        self.saves = 0

    def load(self, keys: Any) -> dict[str, Checkpoint]:
        """Return what stands."""
        return {key: self.items.get(key, Checkpoint(0, b"")) for key in keys}

    def save(
        self, key: str, data: bytes, *, expected_version: int, write_id: str, **_: float
    ) -> Saved | Conflict:
        """Write if the version stands."""
        if self.fail_saves_after is not None and self.saves >= self.fail_saves_after:
            raise PortError("down", backend="dynamodb", retryable=True)
        current = self.load([key])[key]
        if self.lose_next:
            self.lose_next -= 1
            current = self.items[key] = Checkpoint(current.version + 1, current.data, "other")
        if current.version != expected_version:
            return Conflict(current)
        self.saves += 1
        self.items[key] = Checkpoint(expected_version + 1, data, write_id)
        return Saved(expected_version + 1)

    def record(self) -> Record:
        """Return the publisher's record."""
        return decode_record(self.load([RECORD_KEY])[RECORD_KEY].data, now_s=NOW, limits=Limits())


class World:
    """One account: a clock, AppConfig, a client, a store, and a publisher on them."""

    def __init__(self, *, attempts: int = 1, validators: tuple[dict[str, str], ...] = ()) -> None:
        self.clock = VirtualClock(NOW)
        self.service = AppConfigService(self.clock)
        self.client = boto3.client(
            "appconfig",
            region_name="eu-west-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"mode": "standard", "total_max_attempts": attempts}),
        )
        self.service.attach(self.client)
        self.ids = ensure_config(self.client, validators=validators)
        self.store = Store()
        self.publisher = self.new_publisher()

    def new_publisher(self, ids: AppConfigIds | None = None) -> AppConfigPublisher:
        """Return a publisher as another process would make it."""
        return AppConfigPublisher(self.client, **(ids or self.ids)._asdict(), checkpoints=self.store)

    def publish(
        self,
        params: dict[str, TargetParams],
        *,
        urgent: bool = False,
        after_s: float = 0.0,
        by: AppConfigPublisher | None = None,
        policy_hash: str = "p",
    ) -> PublishReport:
        """Let time pass, then publish."""
        self.clock.advance(after_s)
        publisher = by or self.publisher
        return publisher.publish(params, urgent=urgent, policy_hash=policy_hash, now_s=self.clock.now_s())

    def deployments(self) -> list[dict[str, Any]]:
        """Return all deployments, newest first."""
        found: list[dict[str, Any]] = self.client.list_deployments(
            ApplicationId=self.ids.application_id, EnvironmentId=self.ids.environment_id
        )["Items"]
        return found

    def versions(self) -> list[int]:
        """Return the numbers of all hosted versions, newest first."""
        items = self.client.list_hosted_configuration_versions(
            ApplicationId=self.ids.application_id, ConfigurationProfileId=self.ids.profile_id, MaxResults=50
        )["Items"]
        return sorted((item["VersionNumber"] for item in items), reverse=True)

    def seen_by_a_client(self) -> Document:
        """Return what a new execution environment receives."""
        data = self.service.agent(*self.ids[:3]).get()
        assert data is not None
        return decode_document(data, strict=True)

    def create_by_hand(self, content: bytes) -> int:
        """Create a version, as an operator would at the console; return its number."""
        reply = self.client.create_hosted_configuration_version(
            ApplicationId=self.ids.application_id,
            ConfigurationProfileId=self.ids.profile_id,
            Content=content,
            ContentType="application/json",
        )
        return int(reply["VersionNumber"])

    def deploy_by_hand(self, content: bytes) -> None:
        """Deploy other content, and wait until it is complete."""
        version = self.create_by_hand(content)
        self.client.start_deployment(
            ApplicationId=self.ids.application_id,
            EnvironmentId=self.ids.environment_id,
            ConfigurationProfileId=self.ids.profile_id,
            DeploymentStrategyId=self.ids.strategy_id,
            ConfigurationVersion=str(version),
        )
        self.clock.advance(30.0)

    def stop(self, number: int) -> None:
        """Stop or revert a deployment, as an operator or a monitor would."""
        self.client.stop_deployment(
            ApplicationId=self.ids.application_id,
            EnvironmentId=self.ids.environment_id,
            DeploymentNumber=number,
            AllowRevert=True,
        )
