"""One emulated AWS account: all emulators on one clock, and clients that can reach nothing else.

    with EmbeddedAws(seed=7) as aws:
        resources = aws.create_flyball_resources()
        tables = aws.client("dynamodb")

In process no socket is opened and no AWS variable or file is read; the clients
are botocore's own, with every request and response held to the service model.
`serve()` puts the same account on loopback for other processes and says which
environment variables lead there.

CloudWatch's alarm transitions go to the event bus, as they always do on AWS;
what is done with them is decided by the rules the caller makes. Deployments ask
the alarms of this account before they go on, if an environment names monitors.

Knows no handler and no policy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from botocore.config import Config

from flyball_controller.aws.appconfig_setup import ensure_config
from flyball_controller.aws.settings import APPCONFIG_VARIABLES, AppConfigIds
from flyball_local import contractcheck
from flyball_local.appconfig import AppConfigService
from flyball_local.cloudwatch import CloudWatchService
from flyball_local.cloudwatch.events import eventbridge_event
from flyball_local.delivery import DeliveryFaults
from flyball_local.dynamodb import TABLE_NAMES, DynamoDBService, TableNames, create_tables
from flyball_local.eventbus import EventBus
from flyball_local.isolated import ACCESS_KEY, DEFAULT_CONFIG, SECRET_KEY, isolated_session
from flyball_local.virtualclock import VirtualClock

# Monday 2026-01-05T00:00:00Z: a whole week and a whole day begin, so that seasons in demos are easy to read.
START_S = 1_767_571_200.0
SERVICES = ("appconfig", "appconfigdata", "cloudwatch", "dynamodb")
TABLE_VARIABLES = TableNames(
    circuits="FLYBALL_CIRCUITS_TABLE",
    state="FLYBALL_STATE_TABLE",
    journal="FLYBALL_JOURNAL_TABLE",
    holds="FLYBALL_HOLDS_TABLE",
)


class FlyballResources(NamedTuple):
    """What a flyball installation consists of: ids in AppConfig, names of tables."""

    config: AppConfigIds
    tables: TableNames

    @property
    def variables(self) -> dict[str, str]:
        """The controller's environment variables that lead to these resources."""
        config, tables = self.config._asdict(), self.tables._asdict()
        return {
            **{APPCONFIG_VARIABLES[role]: value for role, value in config.items()},
            **{variable: tables[role] for role, variable in TABLE_VARIABLES._asdict().items()},
        }


class Served(NamedTuple):
    """The account on loopback: the variables that lead an SDK there, and the AppConfig Agent's address."""

    variables: dict[str, str]
    agent_url: str


class EmbeddedAws:
    """One account in one region. The emulators are public: their fault switches and counters are there.

    >>> with EmbeddedAws() as aws:
    ...     aws.create_flyball_resources().tables.state
    'flyball-state'
    """

    def __init__(
        self,
        clock: VirtualClock | None = None,
        seed: int = 0,
        region: str = "eu-west-1",
        account: str = "000000000000",
        *,
        metric_lag_s: float = 0.0,
        delivery: DeliveryFaults | None = None,
        versions_kept: int = 0,
        check_contracts: bool = True,
    ) -> None:
        """Make an empty account.

        Args:
            clock: Time of everything; None: one of its own, standing at `START_S`.
            seed: Same seed and same calls, same account in every byte.
            region: Region of all resources and clients.
            account: Account of all resources, 12 digits.
            metric_lag_s: Seconds from a metric's publication until it can be read, >= 0.
            delivery: How unkind event delivery is; None: kind.
            versions_kept: Old versions kept per DynamoDB item for stale reads, >= 0.
            check_contracts: Hold every call of every client to botocore's service model.

        Raises:
            ValueError: If `account` is not 12 digits, or an emulator refuses its setting.
        """
        if not (len(account) == 12 and account.isascii() and account.isdigit()):
            raise ValueError(f"account={account!r} must be 12 digits, e.g. '000000000000'")
        self.clock = clock or VirtualClock(START_S)
        self.region = region
        self.account = account
        self._check_contracts = check_contracts
        self._session = isolated_session(region)
        self._clients: list[Any] = []
        self.dynamodb = DynamoDBService(
            self.clock,
            region=region,
            account=account,
            seed=seed,
            versions_kept=versions_kept,
            wait=self.clock.advance,
        )
        self.cloudwatch = CloudWatchService(
            self.clock, seed=seed, lag_s=metric_lag_s, account=account, region=region
        )
        self.appconfig = AppConfigService(self.clock, seed=seed, alarm_state=self._alarm_state)
        self.bus = EventBus(self.clock, seed=seed, faults=delivery, region=region, account=account)
        self.cloudwatch.on_transition(lambda transition: self.bus.put(eventbridge_event(transition)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all clients. May be called again; the emulators hold nothing open."""
        while self._clients:
            self._clients.pop().close()

    def client(self, service: str, *, config: Config | None = None) -> Any:
        """Return a boto3 client that is answered in this process, whatever the environment says.

        Args:
            service: One of `SERVICES`.
            config: Merged over the default: no SDK retries (the SDK sleeps real seconds between
                them) and a read time-out of 5 virtual seconds.

        Raises:
            ValueError: If there is no emulator of that service.
        """
        emulators: dict[str, Any] = {
            "appconfig": self.appconfig,
            "appconfigdata": self.appconfig,
            "cloudwatch": self.cloudwatch,
            "dynamodb": self.dynamodb,
        }
        if service not in emulators:
            raise ValueError(
                f"service={service!r} is not emulated for SDK clients; {', '.join(SERVICES)} are "
                "(functions, queues, topics and rules are made on `bus`)"
            )
        merged = DEFAULT_CONFIG if config is None else DEFAULT_CONFIG.merge(config)
        made: Any = self._session.client(service, config=merged)  # type: ignore[call-overload]  # a variable name
        emulators[service].attach(made)
        if self._check_contracts:
            contractcheck.attach(made)
        self._clients.append(made)
        return made

    def create_flyball_resources(self, tables: TableNames = TABLE_NAMES) -> FlyballResources:
        """Create the four tables, and application, environment, profile and 0/0/100 strategy in AppConfig.

        Raises:
            botocore.exceptions.ClientError: If a table is there already.
            PortError: If AppConfig refuses.
        """
        create_tables(self.client("dynamodb"), tables)
        return FlyballResources(ensure_config(self.client("appconfig")), tables)

    @contextmanager
    def serve(self) -> Iterator[Served]:
        """Serve the account on loopback inside the block, for handlers in other processes.

        The variables replace everything an SDK would look for: endpoints, example
        credentials, region, and empty files instead of the user's own.
        """
        with ExitStack() as stack:
            appconfig = stack.enter_context(self.appconfig.serve()).url
            endpoints = {
                "APPCONFIG": appconfig,
                "APPCONFIGDATA": appconfig,
                "CLOUDWATCH": stack.enter_context(self.cloudwatch.serve()).url,
                "DYNAMODB": stack.enter_context(self.dynamodb.serve()).url,
            }
            agent = stack.enter_context(self.appconfig.agent_server())
            yield Served(
                {
                    **{f"AWS_ENDPOINT_URL_{name}": url for name, url in endpoints.items()},
                    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                    "AWS_REGION": self.region,
                    "AWS_DEFAULT_REGION": self.region,
                    "AWS_CONFIG_FILE": os.devnull,
                    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "NO_PROXY": "127.0.0.1",
                },
                agent.url,
            )

    def _alarm_state(self, arn: str) -> str:
        return self.cloudwatch.alarm_state(arn.partition(":alarm:")[2])
