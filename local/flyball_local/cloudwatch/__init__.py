"""An embedded CloudWatch: metrics, GetMetricData, alarms and the events they send.

Made because the usual emulator neither evaluates alarms nor answers percentiles
or expressions, and accepts what AWS refuses. What it keeps of the real service is
listed per module; what it lacks it refuses by name. Never used outside demos,
docs and tests.
"""

from __future__ import annotations

from flyball_local.cloudwatch.alarms import StateView, Transition
from flyball_local.cloudwatch.errors import CloudWatchError, PointError
from flyball_local.cloudwatch.judgement import AlarmState
from flyball_local.cloudwatch.points import MetricKey, metric_key
from flyball_local.cloudwatch.service import CloudWatchService
from flyball_local.cloudwatch.store import MetricStore

__all__ = [
    "AlarmState",
    "CloudWatchError",
    "CloudWatchService",
    "MetricKey",
    "MetricStore",
    "PointError",
    "StateView",
    "Transition",
    "metric_key",
]
