"""AWS clients with short time-outs, made when first used, and the few operations we may call.

The Protocols list every operation of the adapters; the same list is what the
least-privilege policies grant. They also let tests pass a recording fake. boto3
is imported on first use: a handler that only decides does not pay for it.

Time-outs are far below boto3's 60 s: a decision that waits a minute for its
store is worse than one that gives up and is repeated at the next tick.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple, Protocol

Reply = dict[str, Any]  # botocore replies are untyped; each adapter checks what it reads


class DynamoDBClient(Protocol):
    """What the stores need of DynamoDB."""

    def get_item(self, **arguments: object) -> Reply: ...
    def put_item(self, **arguments: object) -> Reply: ...
    def query(self, **arguments: object) -> Reply: ...
    def batch_get_item(self, **arguments: object) -> Reply: ...
    def batch_write_item(self, **arguments: object) -> Reply: ...


class AppConfigClient(Protocol):
    """What the publisher needs of AppConfig's control plane."""

    def list_deployments(self, **arguments: object) -> Reply: ...
    def get_deployment(self, **arguments: object) -> Reply: ...
    def start_deployment(self, **arguments: object) -> Reply: ...
    def list_hosted_configuration_versions(self, **arguments: object) -> Reply: ...
    def get_hosted_configuration_version(self, **arguments: object) -> Reply: ...
    def create_hosted_configuration_version(self, **arguments: object) -> Reply: ...
    def delete_hosted_configuration_version(self, **arguments: object) -> Reply: ...


class AppConfigSetupClient(Protocol):
    """What `appconfig_setup` needs besides; the running controller never calls these."""

    def list_applications(self, **arguments: object) -> Reply: ...
    def create_application(self, **arguments: object) -> Reply: ...
    def list_environments(self, **arguments: object) -> Reply: ...
    def create_environment(self, **arguments: object) -> Reply: ...
    def list_configuration_profiles(self, **arguments: object) -> Reply: ...
    def create_configuration_profile(self, **arguments: object) -> Reply: ...
    def list_deployment_strategies(self, **arguments: object) -> Reply: ...
    def create_deployment_strategy(self, **arguments: object) -> Reply: ...


class CloudWatchClient(Protocol):
    """What the sensor needs of CloudWatch."""

    def get_metric_data(self, **arguments: object) -> Reply: ...


class LambdaClient(Protocol):
    """What operators need of Lambda; the controller never calls it."""

    def invoke(self, **arguments: object) -> Reply: ...


class CallLimits(NamedTuple):
    """How long one call may take. The worst case is attempts x (connect + read), plus botocore's pause."""

    connect_s: float
    read_s: float
    attempts: int  # the first one included


# DynamoDB answers in milliseconds; one retry covers a connection that died while
# the environment was frozen. Condition and write id make the retry safe (P4).
DYNAMODB_LIMITS = CallLimits(connect_s=0.5, read_s=1.0, attempts=2)
# Control plane: seconds are normal. Unknown outcomes are reconciled by the publisher.
APPCONFIG_LIMITS = CallLimits(connect_s=1.0, read_s=5.0, attempts=2)
# 500 queries with days of points take seconds; reads may be repeated freely. Two calls without an answer must
# leave the round time to renew circuits and to obey holds before Lambda ends it: see tests/unit/infra.
CLOUDWATCH_LIMITS = CallLimits(connect_s=1.0, read_s=10.0, attempts=2)
# A cold override function with a round of its own; one attempt, or the override might come twice.
LAMBDA_LIMITS = CallLimits(connect_s=1.0, read_s=30.0, attempts=1)


class Clients:
    """The clients of one region, each made when first asked for.

    Args:
        region: AWS region name; None leaves it to boto3's own configuration.
        endpoint_url: Where every service is instead of at AWS; None: the standard
            AWS_ENDPOINT_URL_* variables, else AWS.
    """

    def __init__(self, *, region: str | None = None, endpoint_url: str | None = None) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._checking: dict[tuple[str, float], Any] = {}

    def _make(self, service: str, limits: CallLimits) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=limits.connect_s,
            read_timeout=limits.read_s,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
            tcp_keepalive=True,
            user_agent_extra="flyball",
        )
        session: Any = boto3.session.Session()  # typed per service name; ours is a variable
        return session.client(
            service, region_name=self._region, endpoint_url=self._endpoint_url, config=config
        )

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """The client of the stores."""
        client: DynamoDBClient = self._make("dynamodb", DYNAMODB_LIMITS)
        return client

    @cached_property
    def appconfig(self) -> AppConfigClient:
        """The client of the publisher (and of `appconfig_setup`)."""
        client: AppConfigClient = self._make("appconfig", APPCONFIG_LIMITS)
        return client

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """The client of the sensor."""
        client: CloudWatchClient = self._make("cloudwatch", CLOUDWATCH_LIMITS)
        return client

    def checking(self, service: str, timeout_s: float) -> Any:
        """Return the probe function's client: no second attempt, no call longer than `timeout_s`."""
        if (service, timeout_s) not in self._checking:
            connect_s = min(1.0, timeout_s / 2.0)
            limits = CallLimits(connect_s, timeout_s - connect_s, attempts=1)
            self._checking[service, timeout_s] = self._make(service, limits)
        return self._checking[service, timeout_s]

    @cached_property
    def functions(self) -> LambdaClient:
        """The client with which operators invoke the override function."""
        client: LambdaClient = self._make("lambda", LAMBDA_LIMITS)
        return client
