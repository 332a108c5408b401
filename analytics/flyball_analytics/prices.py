"""AWS list prices in one dated table: what flyball's own cost is computed from.

us-east-1, US dollars, without free tiers and discounts. Most are from
secondary sources, because price pages cannot be read here: check them before a decision
hangs on them; `flyball cost --price NAME=USD` replaces any. docs/reference/cost.md quotes this
table, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

AS_OF = "2026-11-23"
REGION = "us-east-1"
MILLION = 1_000_000.0


class Price(NamedTuple):
    """`usd` for one unit; `said` as people quote it."""

    usd: float
    unit: str
    said: str
    source: str


_CLOUDWATCH = "Amazon CloudWatch pricing, secondary"
_DYNAMODB = "Amazon DynamoDB on-demand pricing since 2024-11, secondary"
_APPCONFIG = "AWS Systems Manager pricing, AppConfig, two secondary sources"
_S3 = "Amazon S3 Standard pricing, secondary"
_TRANSFER = "Amazon EC2 data transfer pricing, secondary"
_LAMBDA = "AWS Lambda pricing, arm64, first tier, secondary"

PRICES: dict[str, Price] = {
    "metric_data": Price(
        0.01 / 1_000.0,
        "metric requested",
        "0.01 per 1,000 metrics requested",
        f"{_CLOUDWATCH}, GetMetricData",
    ),
    "metric_listing": Price(
        0.01 / 1_000.0, "request", "0.01 per 1,000 requests of ListMetrics", f"{_CLOUDWATCH}, API requests"
    ),
    "custom_metric": Price(0.30, "metric and month", "0.30 a month (the first 10,000)", _CLOUDWATCH),
    "alarm": Price(0.10, "metric in it and month", "0.10 a month and metric in it", _CLOUDWATCH),
    "dashboard": Price(3.00, "dashboard and month", "3.00 a month beyond the third", _CLOUDWATCH),
    "metric_stream": Price(0.003 / 1_000.0, "update", "0.003 per 1,000 updates", _CLOUDWATCH),
    "logs_gb": Price(0.50, "GB ingested", "0.50 per GB of logs", "Amazon CloudWatch Logs pricing, secondary"),
    "firehose_gb": Price(
        0.029, "GB delivered", "0.029 per GB through Firehose", "Amazon Data Firehose pricing, secondary"
    ),
    "dynamodb_read": Price(0.125 / MILLION, "read unit", "0.125 per million read units", _DYNAMODB),
    "dynamodb_write": Price(0.625 / MILLION, "write unit", "0.625 per million write units", _DYNAMODB),
    "appconfig_request": Price(0.000_000_2, "request", "0.0000002 per request", _APPCONFIG),
    "appconfig_received": Price(
        0.000_8, "configuration received", "0.0008 per configuration received", _APPCONFIG
    ),
    "lambda_gb_s": Price(0.000_013_333_4, "GB-second", "0.0000133334 per GB-second", _LAMBDA),
    "lambda_request": Price(0.20 / MILLION, "request", "0.20 per million requests", _LAMBDA),
    "s3_read": Price(
        0.0004 / 1_000.0,
        "object read",
        "0.0004 per 1,000 objects read",
        _S3,
    ),
    "s3_list": Price(
        0.005 / 1_000.0,
        "page of keys",
        "0.005 per 1,000 pages of keys",
        _S3,
    ),
    "transfer_gb": Price(0.09, "GB out of AWS", "0.09 per GB that leaves AWS", _TRANSFER),
    "event": Price(
        0.0,
        "event of a schedule or of an AWS service",
        "0 for schedules and AWS events",
        "Amazon EventBridge pricing",
    ),
}


def prices(changed: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the price of one unit by name, those in `changed` replaced.

    Raises:
        KeyError: If a name in `changed` is no price.

    >>> prices({"alarm": 0.2})["alarm"], prices()["alarm"]
    (0.2, 0.1)
    """
    found = {name: price.usd for name, price in PRICES.items()}
    for name, usd in (changed or {}).items():
        if name not in found:
            raise KeyError(name)
        found[name] = usd
    return found
