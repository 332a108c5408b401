"""PutMetricData through boto3: what is stored, what is refused, and that refusal leaves nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyball_local.cloudwatch import CloudWatchService, metric_key
from flyball_local.cloudwatch.publish import UNITS
from flyball_local.contractcheck import service_model

from .conftest import T0, at

KEY = metric_key("shop", "m", {"target": "a"})
DIMENSIONS = [{"Name": "target", "Value": "a"}]


def put(client: Any, *data: dict[str, Any], namespace: str = "shop") -> None:
    client.put_metric_data(
        Namespace=namespace, MetricData=[{"MetricName": "m", "Dimensions": DIMENSIONS, **d} for d in data]
    )


def facts(cloudwatch: CloudWatchService) -> list[float | None]:
    found = cloudwatch.store.windows(KEY, start_s=T0, end_s=T0 + 60, period_s=60, now_s=T0)
    return [v for _, b in found for v in (b.count, b.total, b.minimum, b.maximum, b.percentile(50))]


def test_a_single_value_lands_at_its_time(client: Any, cloudwatch: CloudWatchService) -> None:
    """Or at now, if it has none."""
    put(client, {"Value": 2.0, "Timestamp": at(30)}, {"Value": 4.0})
    assert facts(cloudwatch) == [2.0, 6.0, 2.0, 4.0, 2.0]


def test_naive_textual_and_numeric_times_are_taken_as_botocore_takes_them(
    unchecked: Any, cloudwatch: CloudWatchService
) -> None:
    """Callers pass what boto3 lets them pass."""
    put(unchecked, {"Value": 1.0, "Timestamp": at(0).isoformat()}, {"Value": 1.0, "Timestamp": T0})
    local = datetime.fromtimestamp(T0, tz=UTC).astimezone().replace(tzinfo=None)
    put(unchecked, {"Value": 1.0, "Timestamp": local})
    assert facts(cloudwatch)[0] == 3.0


def test_values_and_counts_keep_percentiles(client: Any, cloudwatch: CloudWatchService) -> None:
    """Nine times 1 and once 10: the median is 1."""
    put(client, {"Values": [1.0, 10.0], "Counts": [9.0, 1.0]}, {"Values": [5.0]})
    assert facts(cloudwatch) == [11.0, 24.0, 1.0, 10.0, 1.0]


def test_statistic_values_lose_percentiles(client: Any, cloudwatch: CloudWatchService) -> None:
    """As documented for PutMetricData."""
    put(client, {"StatisticValues": {"SampleCount": 3, "Sum": 6, "Minimum": 1, "Maximum": 3}})
    assert facts(cloudwatch) == [3.0, 6.0, 1.0, 3.0, None]


def test_entity_data_are_metric_data_too(client: Any, cloudwatch: CloudWatchService) -> None:
    """The newer form of the same request."""
    entity = {"KeyAttributes": {"Type": "Service", "Name": "shop"}}
    datum = {"MetricName": "m", "Dimensions": DIMENSIONS, "Value": 1.0, "Timestamp": at(0)}
    client.put_metric_data(Namespace="shop", EntityMetricData=[{"Entity": entity, "MetricData": [datum]}])
    assert facts(cloudwatch)[0] == 1.0


def test_the_units_are_those_of_the_service_model() -> None:
    """The list is built by rule; the model is the oracle."""
    assert set(service_model("cloudwatch").shape_for("StandardUnit").enum) == UNITS  # type: ignore[attr-defined]


GOOD = {"Value": 1.0}


@pytest.mark.parametrize(
    ("datum", "code", "says"),
    [
        ({"Value": 2.0**361}, "InvalidParameterValue", "Value"),
        ({"Value": 1.0, "Timestamp": at(-15 * 86_400)}, "InvalidParameterValue", "Timestamp"),
        ({"Value": 1.0, "Timestamp": at(3 * 3_600)}, "InvalidParameterValue", "Timestamp"),
        ({"Values": [1.0, 2.0], "Counts": [1.0]}, "InvalidParameterValue", "equally long"),
        ({"Values": [1.0], "Counts": [0.0]}, "InvalidParameterValue", "Counts"),
        ({"Values": [float(i) for i in range(151)]}, "InvalidParameterValue", "at most 150"),
        ({"Values": []}, "InvalidParameterValue", "Values"),
        ({}, "MissingParameter", "Value"),
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination", "Value and Values"),
        ({"Value": 1.0, "StorageResolution": 30}, "InvalidParameterValue", "StorageResolution"),
        ({"Value": 1.0, "Dimensions": DIMENSIONS * 2}, "InvalidParameterValue", "twice"),
        ({"Value": 1.0, "Dimensions": [{"Name": ":a", "Value": "b"}]}, "InvalidParameterValue", "':'"),
        ({"Value": 1.0, "Dimensions": [{"Name": "a", "Value": " "}]}, "InvalidParameterValue", "blank"),
        (
            {"StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 2, "Maximum": 1}},
            "InvalidParameterValue",
            "Minimum",
        ),
    ],
)
def test_a_bad_datum_refuses_the_whole_request(
    client: Any, cloudwatch: CloudWatchService, datum: dict[str, Any], code: str, says: str
) -> None:
    """A half-stored request would be counted twice by the retry."""
    with pytest.raises(ClientError) as caught:
        put(client, GOOD, datum)
    assert caught.value.response["Error"]["Code"] == code
    assert says in caught.value.response["Error"]["Message"]
    assert cloudwatch.store.revision == 0


@pytest.mark.parametrize(
    ("datum", "says"),
    [
        ({"Value": float("nan")}, "Value=nan"),
        ({"Value": float("inf")}, "Value=inf"),
        ({"Values": [1.0, float("-inf")]}, "Value=-inf"),
        ({"Value": 1.0, "Unit": "Requests"}, "Requests"),
        ({"Value": 1.0, "Dimensions": [{"Name": f"d{i}", "Value": "x"} for i in range(31)]}, "31 dimensions"),
    ],
)
def test_what_the_model_forbids_is_refused_too(
    unchecked: Any, cloudwatch: CloudWatchService, datum: dict[str, Any], says: str
) -> None:
    """botocore lets these through; the service does not."""
    with pytest.raises(ClientError, match=says):
        put(unchecked, GOOD, datum)
    assert cloudwatch.store.revision == 0


@pytest.mark.parametrize("namespace", ["AWS/Lambda", ":mine"])
def test_reserved_namespaces_are_refused(unchecked: Any, namespace: str) -> None:
    """Only AWS services write there."""
    with pytest.raises(ClientError) as caught:
        put(unchecked, GOOD, namespace=namespace)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_a_request_must_hold_1_to_1000_data(client: Any, cloudwatch: CloudWatchService) -> None:
    """Limits of one call."""
    with pytest.raises(ClientError) as caught:
        client.put_metric_data(Namespace="shop", MetricData=[])
    assert caught.value.response["Error"]["Code"] == "MissingParameter"
    with pytest.raises(ClientError, match="1001"):
        put(client, *[GOOD] * 1_001)
    put(client, *[GOOD] * 1_000)
    assert facts(cloudwatch)[0] == 1_000.0
