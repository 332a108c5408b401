"""The embedded account as a whole: shut off from the machine and the network, and the parts wired as on AWS.

Fidelity: emulator, botocore's own clients in front, every call held to the service model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from flyball_controller.aws.settings import Settings
from flyball_local.contractcheck import ContractError
from flyball_local.delivery import DeliveryFaults
from flyball_local.embedded import SERVICES, START_S, EmbeddedAws
from flyball_local.eventbus import Target
from flyball_local.lambdahost import FunctionSettings, LambdaHost
from flyball_local.virtualclock import VirtualClock

# --- what the interpreter did: sockets and files, as Python itself reports them --------------------

_watched: list[tuple[str, tuple[Any, ...]]] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and (event.startswith("socket.") or event == "open"):
        _watched.append((event, arguments))


sys.addaudithook(_note)  # cannot be removed, so it is silent unless a test watches


@pytest.fixture
def watched() -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """Everything this test did with sockets and files."""
    global _watched
    _watched = []
    yield _watched
    _watched = None


class Recorder(dict[str, str]):
    """An environment that remembers which names were asked for."""

    def __init__(self, real: Mapping[str, str]) -> None:
        super().__init__(real)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


HOSTILE = {
    "AWS_PROFILE": "production",
    "AWS_DEFAULT_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://192.0.2.1",
    "AWS_ENDPOINT_URL_DYNAMODB": "http://192.0.2.1",
    "AWS_MAX_ATTEMPTS": "nonsense",
    "AWS_RETRY_MODE": "nonsense",
    "AWS_DEFAULTS_MODE": "nonsense",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_CA_BUNDLE": "/nonexistent",
    "AWS_DATA_PATH": "/nonexistent",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "real",
    "_X_AMZN_TRACE_ID": "Root=1-0-0",
}


def use_everything(aws: EmbeddedAws) -> None:
    """Call every emulated service once at least."""
    resources = aws.create_flyball_resources()
    aws.client("dynamodb").put_item(TableName=resources.tables.holds, Item={"target": {"S": "t"}})
    version = aws.client("appconfig").create_hosted_configuration_version(
        ApplicationId=resources.config.application_id,
        ConfigurationProfileId=resources.config.profile_id,
        Content=b"{}",
        ContentType="application/json",
    )
    aws.client("appconfig").start_deployment(
        ApplicationId=resources.config.application_id,
        EnvironmentId=resources.config.environment_id,
        ConfigurationProfileId=resources.config.profile_id,
        DeploymentStrategyId=resources.config.strategy_id,
        ConfigurationVersion=str(version["VersionNumber"]),
    )
    aws.clock.advance(60)
    token = aws.client("appconfigdata").start_configuration_session(
        ApplicationIdentifier=resources.config.application_id,
        EnvironmentIdentifier=resources.config.environment_id,
        ConfigurationProfileIdentifier=resources.config.profile_id,
    )["InitialConfigurationToken"]
    latest = aws.client("appconfigdata").get_latest_configuration(ConfigurationToken=token)
    assert latest["Configuration"].read() == b"{}"
    aws.client("cloudwatch").put_metric_data(
        Namespace="flyball", MetricData=[{"MetricName": "requests", "Value": 1.0}]
    )


# --- shut off -------------------------------------------------------------------------------------


def test_in_process_no_socket_is_opened(watched: list[Any]):
    """The demo promises it; a socket would also mean that something could leave the machine."""
    with EmbeddedAws() as aws:
        use_everything(aws)
    assert [event for event, _ in watched if event.startswith("socket.")] == []


def test_served_it_binds_and_connects_to_loopback_only(watched: list[Any]):
    """Other processes reach the account, other machines do not."""
    import boto3

    with EmbeddedAws() as aws, aws.serve() as served:
        aws.create_flyball_resources()
        variables = served.variables
        session = boto3.Session(
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )
        tables = session.client("dynamodb", endpoint_url=variables["AWS_ENDPOINT_URL_DYNAMODB"])
        assert len(tables.list_tables()["TableNames"]) == 4
        tables.close()
    bound = [arguments[1] for event, arguments in watched if event == "socket.bind"]
    reached = [arguments[1] for event, arguments in watched if event == "socket.connect"]
    assert len(bound) == 4
    assert reached
    assert {address[0] for address in bound + reached} == {"127.0.0.1"}


def test_a_hostile_environment_has_no_effect_and_is_not_even_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, watched: list[Any]
):
    """Somebody's AWS_PROFILE must neither break a test nor send it to their account."""
    (tmp_path / ".aws" / "models" / "dynamodb" / "2012-08-10").mkdir(parents=True)
    (tmp_path / ".aws" / "models" / "dynamodb" / "2012-08-10" / "service-2.json").write_text("{broken")
    config = tmp_path / ".aws" / "config"
    for path in (config, config.with_name("credentials")):
        path.write_text("[profile production]\nregion = us-east-1\n[[[broken")
    for name, value in {**HOSTILE, "AWS_CONFIG_FILE": str(config), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    recorder = Recorder(os.environ)
    monkeypatch.setattr(os, "environ", recorder)
    watched.clear()  # what the test itself opened
    with EmbeddedAws() as aws:
        use_everything(aws)
        client = aws.client("dynamodb")
        assert client.meta.region_name == "eu-west-1"
        models = aws._session._session.get_component("data_loader")
        assert [path for path in models.search_paths if ".aws" in path] == []
        assert client.meta.endpoint_url == "https://dynamodb.eu-west-1.amazonaws.com"
        assert aws._session.get_credentials().access_key == "AKIAIOSFODNN7EXAMPLE"
    assert sorted(name for name in recorder.asked if "AWS" in name or "AMZN" in name) == []
    opened = [str(arguments[0]) for event, arguments in watched if event == "open"]
    assert [path for path in opened if "/.aws" in path] == []


def test_the_recorder_would_notice_a_look():
    """The test above would pass for ever if the recorder saw nothing."""
    recorder = Recorder({"AWS_PROFILE": "x"})
    assert recorder.get("AWS_PROFILE") == recorder["AWS_PROFILE"]
    assert "AWS_REGION" not in recorder
    assert recorder.asked == {"AWS_PROFILE", "AWS_REGION"}


def test_a_service_without_emulator_is_refused_before_anything_is_called():
    """A client that fell through to the network would reach the real account, or hang."""
    with EmbeddedAws() as aws, pytest.raises(ValueError, match="sqs"):
        aws.client("sqs")


# --- resources ------------------------------------------------------------------------------------


def test_the_resources_are_those_the_controllers_settings_name():
    """Handlers in another process are configured by variables; they must lead to what was made."""
    with EmbeddedAws() as aws:
        resources = aws.create_flyball_resources()
        settings = Settings.from_env(resources.variables)
        assert settings.appconfig == resources.config
        names = (settings.circuits_table, settings.state_table, settings.journal_table, settings.holds_table)
        assert names == resources.tables
        assert set(aws.client("dynamodb").list_tables()["TableNames"]) == set(names)
        strategy = aws.client("appconfig").get_deployment_strategy(
            DeploymentStrategyId=resources.config.strategy_id
        )
        assert strategy["DeploymentDurationInMinutes"] == strategy["FinalBakeTimeInMinutes"] == 0
        assert strategy["GrowthFactor"] == 100.0
        with pytest.raises(ClientError, match="ResourceInUse"):
            aws.create_flyball_resources()


def test_the_same_seed_makes_the_same_account():
    """A failing run is replayed by its seed: ids included, since they are in journals and messages."""

    def made(seed: int) -> Any:
        with EmbeddedAws(seed=seed) as aws:
            return aws.create_flyball_resources()

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_accounts_are_separate_and_their_clock_can_be_shared():
    """The demo runs two worlds, with and without flyball, on one time line."""
    clock = VirtualClock(START_S)
    with EmbeddedAws(clock) as one, EmbeddedAws(clock) as two:
        one.create_flyball_resources()
        assert two.client("dynamodb").list_tables()["TableNames"] == []
        clock.advance(5)
        assert one.clock.now_s() == two.clock.now_s() == START_S + 5


@pytest.mark.parametrize("account", ["", "12345678901", "12345678901x", "１２３４５６７８９０１２"])
def test_an_account_that_is_not_twelve_digits_is_refused(account: str):
    """It goes into every ARN, and handlers split ARNs."""
    with pytest.raises(ValueError, match="12 digits"):
        EmbeddedAws(account=account)


# --- contracts and configuration ------------------------------------------------------------------


def test_a_call_that_breaks_the_service_model_is_refused_although_botocore_lets_it_pass():
    """Botocore checks no pattern: a wrong id would pass here and fail on AWS."""
    with EmbeddedAws() as aws, pytest.raises(ContractError, match="DeploymentStrategyId"):
        aws.client("appconfig").get_deployment_strategy(DeploymentStrategyId="NOT an id")
    with EmbeddedAws(check_contracts=False) as aws, pytest.raises(ClientError):
        aws.client("appconfig").get_deployment_strategy(DeploymentStrategyId="NOT an id")


def test_batches_that_leave_nothing_over_pass_the_contract():
    """DynamoDB answers with an empty map, which the model's own minimum would refuse."""
    with EmbeddedAws() as aws:
        aws.create_flyball_resources()
        tables = aws.client("dynamodb")
        item = {"target": {"S": "t"}, "seq": {"S": "1"}}
        wrote = tables.batch_write_item(RequestItems={"flyball-journal": [{"PutRequest": {"Item": item}}]})
        read = tables.batch_get_item(RequestItems={"flyball-journal": {"Keys": [item]}})
    assert (wrote["UnprocessedItems"], read["UnprocessedKeys"]) == ({}, {})
    assert read["Responses"] == {"flyball-journal": [item]}


def test_a_clients_own_configuration_is_kept():
    """Adapters bring their time-outs and retry limits; those are part of what is tested."""
    with EmbeddedAws() as aws:
        config = aws.client("dynamodb", config=Config(read_timeout=0.25)).meta.config
        assert config.read_timeout == 0.25
        assert config.connect_timeout == 1
        aws.dynamodb.faults.slow(1, delay_s=10.0)
        began_s = aws.clock.now_s()
        with pytest.raises(Exception, match="timeout"):
            aws.client("dynamodb", config=Config(read_timeout=0.25)).list_tables()
        assert aws.clock.now_s() - began_s == 0.25


def test_every_service_named_has_a_client():
    """SERVICES is what the error message offers."""
    with EmbeddedAws() as aws:
        for service in SERVICES:
            assert aws.client(service).meta.service_model.service_name == service


# --- wiring ---------------------------------------------------------------------------------------


def put_alarm(aws: EmbeddedAws) -> None:
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName="errors",
        Namespace="flyball",
        MetricName="errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
    )


def test_an_alarm_reaches_a_function_through_the_bus_duplicates_included():
    """From metric to handler without a wire made by the test: put, evaluate, transition, rule, function."""
    seen: list[Any] = []
    with EmbeddedAws(delivery=DeliveryFaults(duplicate_ratio=1.0)) as aws:
        put_alarm(aws)
        function = aws.bus.function("controller", lambda event, _: seen.append(event))
        aws.bus.rule("alarms", {"source": ["aws.cloudwatch"]}, Target(function))
        aws.client("cloudwatch").put_metric_data(
            Namespace="flyball", MetricData=[{"MetricName": "errors", "Value": 9.0}]
        )
        aws.clock.advance(60)
        aws.cloudwatch.evaluate()
        aws.clock.advance(10)
    states = [(e["detail"]["alarmName"], e["detail"]["state"]["value"], e["account"]) for e in seen]
    assert states == [("errors", "ALARM", "000000000000")] * 2


def test_a_deployment_is_rolled_back_by_an_alarm_of_this_account():
    """AppConfig's monitors and CloudWatch's alarms are one account's; pitfall 2 can be shown."""
    with EmbeddedAws() as aws:
        put_alarm(aws)
        resources = aws.create_flyball_resources()
        control = aws.client("appconfig")
        environment = control.create_environment(
            ApplicationId=resources.config.application_id,
            Name="watched",
            Monitors=[{"AlarmArn": "arn:aws:cloudwatch:eu-west-1:000000000000:alarm:errors"}],
        )
        slow = control.create_deployment_strategy(
            Name="slow", DeploymentDurationInMinutes=10, GrowthFactor=10.0, ReplicateTo="NONE"
        )
        version = control.create_hosted_configuration_version(
            ApplicationId=resources.config.application_id,
            ConfigurationProfileId=resources.config.profile_id,
            Content=b"{}",
            ContentType="application/json",
        )
        aws.client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="test")
        where = {
            "ApplicationId": resources.config.application_id,
            "EnvironmentId": environment["Id"],
        }
        number = control.start_deployment(
            **where,
            ConfigurationProfileId=resources.config.profile_id,
            DeploymentStrategyId=slow["Id"],
            ConfigurationVersion=str(version["VersionNumber"]),
        )["DeploymentNumber"]
        aws.clock.advance(120)
        assert control.get_deployment(**where, DeploymentNumber=number)["State"] == "DEPLOYING"
        aws.client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="test")
        aws.clock.advance(120)
        assert control.get_deployment(**where, DeploymentNumber=number)["State"] == "ROLLED_BACK"


HANDLER = """
import boto3
tables = boto3.client("dynamodb")
metrics = boto3.client("cloudwatch")

def handler(event, context):
    item = tables.get_item(TableName="flyball-holds", Key={"target": {"S": event}})["Item"]
    tables.put_item(TableName="flyball-holds", Item={**item, "seen_by": {"S": context.function_name}})
    metrics.put_metric_data(Namespace="flyball", MetricData=[{"MetricName": "m", "Value": 1.0}])
    return item["mode"]["S"]
"""


def test_a_handler_in_the_real_bootstrap_works_on_the_served_account(tmp_path: Path):
    """The whole chain of a deployed function: bootstrap, SDK, endpoints from variables, tables here."""
    (tmp_path / "app.py").write_text(HANDLER)
    with EmbeddedAws() as aws, aws.serve() as served:
        aws.create_flyball_resources()
        tables = aws.client("dynamodb")
        tables.put_item(TableName="flyball-holds", Item={"target": {"S": "t"}, "mode": {"S": "off"}})
        settings = FunctionSettings(
            "app.handler", name="tick", task_root=tmp_path, variables=served.variables
        )
        with LambdaHost(settings) as host:
            got = host.invoke("t")
        assert (got.payload, got.error) == ("off", None)
        item = tables.get_item(TableName="flyball-holds", Key={"target": {"S": "t"}})["Item"]
        assert item["seen_by"] == {"S": "tick"}


def test_the_agent_is_served_as_in_a_function(tmp_path: Path):
    """Clients read their document from the Agent's address, not from AppConfig."""
    import urllib.request

    with EmbeddedAws() as aws, aws.serve() as served:
        use_everything(aws)
        url = f"{served.agent_url}/applications/flyball/environments/live/configurations/resilience"
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - loopback
            assert reply.read() == b"{}"
