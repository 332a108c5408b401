"""Whether the dated price table says what AWS's price list says (point e)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aws.account import Account, Finding
from flyball_analytics.prices import PRICES, REGION

# Where each price is listed. What is free has no entry there.
SERVICES = {
    "metric_data": "AmazonCloudWatch",
    "metric_listing": "AmazonCloudWatch",
    "custom_metric": "AmazonCloudWatch",
    "alarm": "AmazonCloudWatch",
    "dashboard": "AmazonCloudWatch",
    "metric_stream": "AmazonCloudWatch",
    "logs_gb": "AmazonCloudWatch",
    "firehose_gb": "AmazonKinesisFirehose",
    "dynamodb_read": "AmazonDynamoDB",
    "dynamodb_write": "AmazonDynamoDB",
    "appconfig_request": "AWSSystemsManager",
    "appconfig_received": "AWSSystemsManager",
    "lambda_gb_s": "AWSLambda",
    "lambda_request": "AWSLambda",
    "s3_read": "AmazonS3",
    "s3_list": "AmazonS3",
    "transfer_gb": "AWSDataTransfer",
}
FREE = {"event"}
TOLERANCE = 0.005  # lists round
PAGES_MAX = 200


def listed_usd(account: Account, service: str) -> set[float]:
    """Return every on-demand price per unit of a service in the table's region."""
    client = account.client("pricing")
    arguments: dict[str, Any] = {
        "ServiceCode": service,
        "Filters": [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": REGION}],
        "FormatVersion": "aws_v1",
    }
    found: set[float] = set()
    for _ in range(PAGES_MAX):
        reply = client.get_products(**arguments)
        for text in reply["PriceList"]:
            found.update(_prices(json.loads(text)))
        if not reply.get("NextToken"):
            return found
        arguments["NextToken"] = reply["NextToken"]
    raise AssertionError(f"{service}: more than {PAGES_MAX} pages of products")


def _prices(product: Any) -> Iterator[float]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            yield float(dimension["pricePerUnit"].get("USD", 0.0))


def prices_are_listed(account: Account) -> Finding:
    """Every price of the table stands in the list of its service; by value, as names of products change."""
    lists = {service: listed_usd(account, service) for service in sorted(set(SERVICES.values()))}
    wrong = {}
    for name, service in SERVICES.items():
        usd = PRICES[name].usd
        if not any(abs(listed - usd) <= TOLERANCE * usd for listed in lists[service]):
            wrong[name] = {
                "ours": usd,
                "nearest": min(lists[service], key=lambda listed: abs(listed - usd), default=0.0),
            }
    assert not wrong, wrong
    return Finding("e", f"{len(SERVICES)} prices stand in the list of {REGION}", {"services": sorted(lists)})
