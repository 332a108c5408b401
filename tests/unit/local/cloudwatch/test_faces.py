"""The two faces give the same answers: in process, and over HTTP as another process would see them."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from flyball_local.cloudwatch import CloudWatchError, CloudWatchService
from flyball_local.cloudwatch.face import TARGET_PREFIX
from flyball_local.cloudwatch.service import epoch_s
from flyball_local.contractcheck import attach
from flyball_local.virtualclock import VirtualClock

from .conftest import T0, at, make_client

PATIENCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)


@pytest.fixture
def url(cloudwatch: CloudWatchService) -> Iterator[str]:
    with cloudwatch.serve() as server:
        yield server.url


@pytest.fixture
def remote(url: str) -> Any:
    client = make_client(endpoint_url=url, config=PATIENCE)
    attach(client)
    return client


@pytest.fixture(params=["in process", "http"])
def either(request: pytest.FixtureRequest) -> Any:
    """The same test through each face."""
    return request.getfixturevalue("client" if request.param == "in process" else "remote")


def metric(**more: Any) -> dict[str, Any]:
    return {"MetricName": "m", "Dimensions": [{"Name": "target", "Value": "a"}], **more}


QUERY = {
    "Id": "q1",
    "MetricStat": {
        "Metric": {"Namespace": "shop", "MetricName": "m", "Dimensions": [{"Name": "target", "Value": "a"}]},
        "Period": 60,
        "Stat": "p99",
    },
}


def test_what_was_put_is_read_back(either: Any, clock: VirtualClock) -> None:
    """Times are aware datetimes to the caller, whichever face answered."""
    either.put_metric_data(Namespace="shop", MetricData=[metric(Value=2.5, Timestamp=at(90))])
    clock.advance(120)
    answer = either.get_metric_data(MetricDataQueries=[QUERY], StartTime=at(0), EndTime=at(120))
    (result,) = answer["MetricDataResults"]
    assert (result["Timestamps"], result["Values"], result["StatusCode"]) == ([at(60)], [2.5], "Complete")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_errors_have_codes_a_caller_can_decide_on(either: Any) -> None:
    """Modelled exceptions included; both faces alike."""
    with pytest.raises(ClientError) as caught:
        either.get_metric_data(MetricDataQueries=[], StartTime=at(0), EndTime=at(60))
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(either.exceptions.InvalidNextToken):
        either.get_metric_data(MetricDataQueries=[QUERY], StartTime=at(0), EndTime=at(60), NextToken="x")
    with pytest.raises(either.exceptions.ResourceNotFound) as absent:
        either.set_alarm_state(AlarmName="absent", StateValue="OK", StateReason="r")
    assert absent.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_an_operation_outside_the_offer_is_named(unchecked: Any, url: str) -> None:
    """Never an empty answer for what is not there."""
    for client in (unchecked, make_client(endpoint_url=url, config=PATIENCE)):
        with pytest.raises(ClientError, match="PutDashboard is not offered") as caught:
            client.put_dashboard(DashboardName="d", DashboardBody="{}")
        assert caught.value.response["Error"]["Code"] == "InvalidAction"


def test_alarms_are_described_alike(client: Any, remote: Any) -> None:
    """One backend: what one client defined the other sees, member for member."""
    client.put_metric_alarm(
        AlarmName="a",
        MetricName="m",
        Namespace="shop",
        Period=60,
        ExtendedStatistic="p99",
        EvaluationPeriods=3,
        Threshold=5.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    answers = [c.describe_alarms()["MetricAlarms"] for c in (client, remote)]
    assert answers[0] == answers[1]
    assert answers[0][0]["StateUpdatedTimestamp"] == at(0)


def test_the_fast_face_still_validates_requests(unchecked: Any) -> None:
    """botocore's own checks run before our hook."""
    with pytest.raises(ParamValidationError):
        unchecked.get_metric_data(MetricDataQueries=[{"Id": 5}], StartTime=at(0), EndTime=at(60))


def test_a_detached_client_uses_the_network_again(cloudwatch: CloudWatchService) -> None:
    """A closed local port stands for the network."""
    client = make_client(endpoint_url="http://127.0.0.1:9", config=PATIENCE)
    attachment = cloudwatch.attach(client)
    client.describe_alarms()
    assert attachment.calls == 1
    attachment.detach()
    with pytest.raises(EndpointConnectionError):
        client.describe_alarms()
    assert attachment.calls == 1


def test_a_compressed_body_is_read(remote: Any, cloudwatch: CloudWatchService) -> None:
    """botocore compresses PutMetricData above 10 KiB."""
    data = [metric(Values=[float(i) for i in range(100)]) for _ in range(50)]
    remote.put_metric_data(Namespace="shop", MetricData=data)
    assert cloudwatch.store.revision == 50


def send(
    url: str,
    body: bytes,
    *,
    target: str = f"{TARGET_PREFIX}.GetMetricData",
    method: str = "POST",
    **headers: str,
) -> tuple[int, dict[str, Any], str | None]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, "/", body, {"X-Amz-Target": target, **headers})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read()), reply.headers.get("x-amzn-query-error")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"", "SerializationException"),
        (b'{"MetricDataQueries": 5, "StartTime": 1, "EndTime": 2}', "SerializationException"),
        (b'{"MetricDataQueries": [], "StartTime": "soon", "EndTime": 2}', "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b"{}", "ValidationError"),
        (b'{"MetricDataQueries": [{}], "StartTime": 1, "EndTime": 2}', "ValidationError"),
    ],
)
def test_a_hostile_body_gets_an_error_and_not_a_hang(url: str, body: bytes, code: str) -> None:
    """Another process may send anything."""
    status, _, error = send(url, body)
    assert (status, error) == (400, f"{code};Sender")


@pytest.mark.parametrize(
    "request_",
    [{"method": "GET"}, {"target": "Other.GetMetricData"}, {"target": f"{TARGET_PREFIX}.Nonsense"}],
)
def test_another_protocol_is_refused_by_name(url: str, request_: dict[str, str]) -> None:
    """Query and CBOR requests end here too."""
    status, body, _ = send(url, b"{}", **request_)
    assert status == 400
    assert body["__type"].endswith("#UnknownOperationException")


def test_a_broken_compression_is_refused(url: str) -> None:
    """Truncated gzip."""
    body = gzip.compress(b"{}" * 100)[:-9]
    status, _, error = send(url, body, **{"Content-Encoding": "gzip"})
    assert (status, error) == (400, "SerializationException;Sender")


def test_the_same_seed_gives_the_same_request_ids(bare: Any) -> None:
    """A demo's output must not depend on the run."""
    ids = []
    for seed in (1, 1, 2):
        attachment = CloudWatchService(VirtualClock(float(T0)), seed=seed).attach(bare)
        ids.append(bare.describe_alarms()["ResponseMetadata"]["RequestId"])
        attachment.detach()
    assert ids[0] == ids[1] != ids[2]


def test_a_share_of_duplicates_lies_between_none_and_all() -> None:
    """Refused early, by name."""
    with pytest.raises(ValueError, match="duplicate_emf_ratio"):
        CloudWatchService(VirtualClock(0.0), duplicate_emf_ratio=1.5)


def test_instants_do_not_pile_up(cloudwatch: CloudWatchService) -> None:
    """A year of minutes must not stay in memory for the sake of sharing."""
    for second in range(25_000):
        assert epoch_s(cloudwatch._instant(float(second))) == second
    assert len(cloudwatch._instants) <= 10_000


def test_an_error_knows_its_shape_and_status() -> None:
    """What the wire needs follows from the code."""
    error = CloudWatchError("ResourceConflict", "in use")
    assert (error.shape, error.status, str(error)) == ("ResourceConflict", 409, "ResourceConflict: in use")
