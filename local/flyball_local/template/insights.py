"""Alarms over a Metrics Insights query grouped by target: one alarm, a state per contributor.

CloudWatch keeps a state for every group of the query's answer and sends an event
for each change of one. Here each target seen in the namespace gets a book-keeping
alarm of its own, invisible to the account, whose transitions become those events.
Only the one form of query is understood that the template uses.

Source: Amazon CloudWatch User Guide, "Alarms on Metrics Insights queries";
the event's form as in flyball_local.cloudwatch.events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flyball_local.cloudwatch import AlarmState, CloudWatchService
from flyball_local.cloudwatch.alarms import AlarmBook
from flyball_local.cloudwatch.events import contributor_event
from flyball_local.template.errors import TemplateError

_QUERY = re.compile(r'SELECT (SUM)\((\w+)\) FROM SCHEMA\("([^"]+)", target\) GROUP BY target')
_KEPT = ("ComparisonOperator", "Threshold", "EvaluationPeriods", "DatapointsToAlarm", "TreatMissingData")


def is_insights(params: Mapping[str, Any]) -> bool:
    """Whether an alarm's parameters hold a query."""
    return any(str(entry.get("Expression", "")).startswith("SELECT ") for entry in params.get("Metrics", ()))


class InsightsAlarm:
    """One such alarm. `evaluate` returns the events of this minute.

    Raises:
        TemplateError: The query is of another form.
    """

    def __init__(
        self, cloudwatch: CloudWatchService, params: Mapping[str, Any], region: str, account: str
    ) -> None:
        query = _QUERY.fullmatch(params["Metrics"][0]["Expression"])
        if query is None:
            form = 'SELECT SUM(metric) FROM SCHEMA("namespace", target) GROUP BY target'
            raise TemplateError(f"only {form} is emulated", where=params["AlarmName"])
        self._metric, self._namespace = query[2], query[3]
        self._cloudwatch = cloudwatch
        self._params = params
        self._book = AlarmBook(cloudwatch.store, account=account, region=region)
        self._known: set[str] = set()
        self._arn = f"arn:aws:cloudwatch:{region}:{account}:alarm:{params['AlarmName']}"

    def evaluate(self) -> Iterator[dict[str, Any]]:
        """Yield the event of every contributor whose state changed."""
        now_s = self._cloudwatch.clock.now_s()
        for key in list(self._cloudwatch.store.keys(now_s=now_s)):
            dimensions = dict(key.dimensions)
            found = (
                key.namespace == self._namespace
                and key.name == self._metric
                and set(dimensions) == {"target"}
            )
            if found and dimensions["target"] not in self._known:
                self._known.add(dimensions["target"])
                self._book.put_metric(self._of(dimensions["target"]), now_s)
        for change in self._book.evaluate(now_s):
            # A contributor has no third state, and is not there before it breaches or has been.
            if change.new.value is AlarmState.INSUFFICIENT_DATA or (
                change.new.value is AlarmState.OK and change.old.value is AlarmState.INSUFFICIENT_DATA
            ):
                continue
            view = change.alarm._replace(name=self._params["AlarmName"], arn=self._arn, params=self._params)
            yield contributor_event(change._replace(alarm=view), {"target": change.alarm.name})

    def _of(self, target: str) -> dict[str, Any]:
        return {
            "AlarmName": target,
            "Namespace": self._namespace,
            "MetricName": self._metric,
            "Dimensions": [{"Name": "target", "Value": target}],
            "Statistic": "Sum",
            "Period": self._params["Metrics"][0]["Period"],
            **{name: self._params[name] for name in _KEPT if name in self._params},
        }
