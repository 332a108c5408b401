"""The sensor that reads CloudWatch: GetMetricData with raw statistics, turned into observations.

It only fetches. What a value means is decided in metric_map and metric_windows,
and every ratio, threshold and baseline in the core: metric math would be a
second place for arithmetic, with a dialect of its own and no replay.

A query that the service could not answer is not an empty series: a lost error
count would read as "no errors". So a target with such a query is left out of
the answer and read again at the next tick, and if that holds for all of them
the read fails. A call that fails leaves out the targets it asked for, no others.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flyball_controller.aws.clients import CloudWatchClient
from flyball_controller.aws.errors import aws_call
from flyball_controller.aws.metric_map import AwsMetricMap, Source, client_metrics, put_together
from flyball_controller.aws.metric_windows import (
    HOUR_S,
    Span,
    complete_span,
    history_spans,
    observations,
)
from flyball_controller.core.model import Observation
from flyball_controller.ports import PortError

if TYPE_CHECKING:
    from flyball_controller.ports import Sensor

BACKEND = "cloudwatch"
QUERIES_MAX = 500  # per GetMetricData call, service limit
POINTS_MAX = 100_800  # per GetMetricData call, service limit
# An answer of 100,800 points comes in a handful of pages; more is a loop.
PAGES_MAX = 200
LOOKBACK_S = 3 * HOUR_S  # what one read may catch up with; older windows are history
HISTORY_DAYS_MAX = 455
UNANSWERED = ("InternalError", "Forbidden")
# A target that lags further is asked apart: the series of a call share its times, and one that was silent
# for three hours would make every other one send 180 minutes that are known already.
NEAR_WINDOWS = 20  # a container that starts cold goes back a checkpoint's age, 15 minutes
# One call that fails leaves its own targets out; after two the service is taken to be down, and not asked on.
FAILED_CALLS_MAX = 2


class _Query(NamedTuple):
    target: str
    source: Source


class Answer(NamedTuple):
    """What a set of queries gave: series per target, and the targets that are incomplete or unanswered."""

    series: dict[str, dict[tuple[str, str], dict[float, float]]]
    partial: set[str]
    unanswered: set[str]


class CloudWatchSensor:
    """Observations from CloudWatch metrics.

    Args:
        client: A CloudWatch client.
        namespace: Namespace of the client's metrics, for targets without a map of their own.
        maps: Metrics of single targets, e.g. `lambda_metrics` for a function without the client.
        accounts: Where clients run, if the account that is asked monitors others; () = in this one.
        period_s: Length of a window.
        lag_s: How long after its end a window is still filling.
        lookback_s: How far back one read reaches.
    """

    def __init__(
        self,
        client: CloudWatchClient,
        *,
        namespace: str = "flyball",
        maps: Mapping[str, AwsMetricMap] | None = None,
        accounts: Sequence[str] = (),
        period_s: int = 60,
        lag_s: float = 20.0,
        lookback_s: float = LOOKBACK_S,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._maps = dict(maps or {})
        self._accounts = tuple(accounts) or ("",)
        self._period_s = period_s
        self._lag_s = lag_s
        self._lookback_s = lookback_s

    def read(
        self, targets: Sequence[str], *, since_s: Mapping[str, float], now_s: float
    ) -> Mapping[str, tuple[Observation, ...]]:
        """Return the complete windows that start after `since_s[target]`, oldest first, per target.

        Args:
            targets: Whose; an unanswered one is missing from the result.
            since_s: Window start already seen, per target; absent = none (the look-back then limits).
            now_s: Epoch seconds; also `arrived_s` of every observation.

        Raises:
            PortError: If every call fails, or no target with complete windows got an answer (retryable).
        """
        spans = {
            target: complete_span(
                since_s=since_s.get(target, -math.inf),
                now_s=now_s,
                period_s=self._period_s,
                lag_s=self._lag_s,
                lookback_s=self._lookback_s,
            )
            for target in dict.fromkeys(targets)
        }
        due = [target for target, span in spans.items() if span.windows]
        result: dict[str, tuple[Observation, ...]] = dict.fromkeys(spans, ())
        if not due:
            return result
        answer = self._answer(due, spans)
        if answer.unanswered.issuperset(due):
            raise _no_answer(due)
        for target in due:
            if target in answer.unanswered:
                del result[target]
                continue
            result[target] = tuple(
                observations(
                    target,
                    self._map(target),
                    answer.series.get(target, {}),
                    spans[target],
                    now_s=now_s,
                    partial=target in answer.partial,
                )
            )
        return result

    def _answer(self, due: Sequence[str], spans: Mapping[str, Span]) -> Answer:
        """Ask for all that is due, the up-to-date targets first; raise only if no call went well."""
        answer = Answer({}, set(), set())
        failed: list[PortError] = []
        answered = False
        for batch, part in self._due_calls(due, spans):
            if len(failed) == FAILED_CALLS_MAX:
                answer.unanswered.update(query.target for query in batch)
                continue
            try:
                self._call(batch, part, answer)
                answered = True
            except PortError as error:
                failed.append(error)
                answer.unanswered.update(query.target for query in batch)
        if failed and not answered:
            raise failed[0]
        return answer

    def _due_calls(
        self, due: Sequence[str], spans: Mapping[str, Span]
    ) -> Iterator[tuple[Sequence[_Query], Span]]:
        near = [target for target in due if spans[target].windows <= NEAR_WINDOWS]
        far = [target for target in due if spans[target].windows > NEAR_WINDOWS]
        for group in (near, far):
            if group:
                start_s = min(spans[target].start_s for target in group)
                yield from _calls(self._queries(group), Span(self._period_s, start_s, spans[group[0]].end_s))

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return up to `days` of past windows, oldest first, at the finest period still retained.

        Args:
            target: Whose.
            until_s: Windows end at or before this; taken as "now" for what is still retained.
            days: How far back, 1 to 455.

        Each observation arrives, as it would have live, the lag after its end.

        Raises:
            PortError: If a call fails or a query is not answered (retryable).
        """
        days = min(max(days, 1), HISTORY_DAYS_MAX)
        found: list[Observation] = []
        for span in history_spans(until_s=until_s, days=days, period_s=self._period_s):
            answer = self.ask([target], span)
            if answer.unanswered:
                raise _no_answer([target])
            found.extend(
                observations(
                    target,
                    self._map(target),
                    answer.series.get(target, {}),
                    span,
                    now_s=until_s,
                    arrival_lag_s=self._lag_s,
                    partial=bool(answer.partial),
                )
            )
        return tuple(found)

    def _map(self, target: str) -> AwsMetricMap:
        own = self._maps.get(target)
        return own or client_metrics(target, namespace=self._namespace, accounts=self._accounts)

    def ask(self, targets: Sequence[str], span: Span) -> Answer:
        """Return the raw values of every source of every target over the span, in as many calls as needed.

        Raises:
            PortError: If a call fails. What a call left open is in the answer.
        """
        answer = Answer({}, set(), set())
        for batch, part in _calls(self._queries(targets), span):
            self._call(batch, part, answer)
        return answer

    def _queries(self, targets: Sequence[str]) -> list[_Query]:
        return [_Query(target, source) for target in targets for source in self._map(target).sources()]

    def _call(self, batch: Sequence[_Query], part: Span, answer: Answer) -> None:
        """Make one call with all its pages; the last status of each query counts."""
        arguments: dict[str, Any] = {
            "MetricDataQueries": [_as_query(i, q.source, part.period_s) for i, q in enumerate(batch)],
            "StartTime": _utc(part.start_s),
            "EndTime": _utc(part.end_s),
            "ScanBy": "TimestampAscending",
        }
        status: dict[str, str] = {}
        values: dict[int, dict[float, float]] = {}
        for _ in range(PAGES_MAX):
            with aws_call(BACKEND, "GetMetricData"):
                reply = self._client.get_metric_data(**arguments)
            for result in reply.get("MetricDataResults", []):
                status[result["Id"]] = result.get("StatusCode", "Complete")
                stamps = (stamp.timestamp() for stamp in result.get("Timestamps", []))
                of_query = values.setdefault(int(result["Id"][1:]), {})
                of_query.update(zip(stamps, result.get("Values", []), strict=False))
            if not reply.get("NextToken"):
                break
            arguments["NextToken"] = reply["NextToken"]
        else:
            raise PortError(
                f"GetMetricData gave {PAGES_MAX} pages and still another: ask for fewer targets at a time",
                backend=BACKEND,
                retryable=True,
            )
        for index, query in enumerate(batch):
            _add(answer, query, values.get(index, {}))
            code = status.get(f"m{index}")  # every query has a result, be it empty; none is no answer
            if code is None or code in UNANSWERED:
                answer.unanswered.add(query.target)
            elif code != "Complete":
                answer.partial.add(query.target)


def _calls(queries: Sequence[_Query], span: Span) -> Iterator[tuple[Sequence[_Query], Span]]:
    """Yield batches of queries and slices of time, each inside both limits of one call."""
    per_call = min(QUERIES_MAX, len(queries))
    windows = POINTS_MAX // max(1, per_call)
    for first in range(0, len(queries), max(1, per_call)):
        batch = queries[first : first + per_call]
        start_s = span.start_s
        while start_s < span.end_s:
            end_s = min(span.end_s, start_s + windows * span.period_s)
            yield batch, Span(span.period_s, start_s, end_s)
            start_s = end_s


def _add(answer: Answer, query: _Query, values: Mapping[float, float]) -> None:
    """Put the values of a query to those of the same metric in other accounts."""
    metric, stat = query.source.metric, query.source.stat
    known = answer.series.setdefault(query.target, {}).setdefault((metric, stat), {})
    for start_s, value in values.items():
        known[start_s] = put_together(stat, known[start_s], value) if start_s in known else value


def _as_query(index: int, source: Source, period_s: int) -> dict[str, Any]:
    query: dict[str, Any] = {
        "Id": f"m{index}",
        "MetricStat": {
            "Metric": {
                "Namespace": source.namespace,
                "MetricName": source.metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in source.dimensions],
            },
            "Period": period_s,
            "Stat": source.stat,
        },
        "ReturnData": True,
    }
    if source.account:
        query["AccountId"] = source.account
    return query


def _utc(at_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_s, tz=dt.UTC)


def _no_answer(targets: Sequence[str]) -> PortError:
    return PortError(
        f"GetMetricData could not answer for {targets[0]} and {len(targets) - 1} more targets "
        "(status InternalError or Forbidden): try again, and check cloudwatch:GetMetricData",
        backend=BACKEND,
        retryable=True,
    )


if TYPE_CHECKING:
    _fits: type[Sensor] = CloudWatchSensor
