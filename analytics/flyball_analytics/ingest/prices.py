"""What reading metrics costs: one dated table.

us-east-1 list prices in US dollars; other regions differ by a few per cent. GetMetricData
is not in the free tier. Source: Amazon CloudWatch pricing page, "APIs".
"""

from __future__ import annotations

AS_OF = "2026-11"
REGION = "us-east-1"
# Per metric requested. Every query of every call counts, so that few queries over long
# ranges cost less than many over short ones.
GET_METRIC_DATA_USD = 0.01 / 1_000
LIST_OBJECTS_USD = 0.005 / 1_000  # S3 LIST, per request
GET_OBJECT_USD = 0.0004 / 1_000  # S3 GET, per request
