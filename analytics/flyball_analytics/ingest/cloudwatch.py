"""`flyball ingest cloudwatch`: past windows by GetMetricData, at the finest period that is still kept.

What is read is planned from what the history already covers, so a run that was
killed, or a history that has grown old, is continued by the same command. One target
per call where possible: the service is paid per metric and call, and takes 100,800
points, so long ranges of few metrics are far cheaper than short ranges of many.

Windows and values are the sensor's (metric_windows.py). Nothing here reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from flyball_analytics.ingest.block import MEASURED_BIT, Block, block_of
from flyball_analytics.ingest.find import Lists
from flyball_analytics.ingest.findings import FindingKind, Findings
from flyball_analytics.ingest.manifest import Covered, Source, cover, uncovered
from flyball_analytics.ingest.pace import Bucket, Refused, patiently
from flyball_analytics.ingest.store import HistoryWriter, Rule
from flyball_analytics.prices import PRICES
from flyball_controller.aws.clients import CloudWatchClient
from flyball_controller.aws.cloudwatch import POINTS_MAX, QUERIES_MAX, Answer, CloudWatchSensor
from flyball_controller.aws.errors import RETRYABLE_CODES, error_code
from flyball_controller.aws.metric_map import AwsMetricMap
from flyball_controller.aws.metric_windows import DAY_S, Span, floor_to, history_spans, observations
from flyball_controller.core.model import Observation, Quality
from flyball_controller.ports import PortError

# Metrics per second that are asked for unless told otherwise; the default quota of
# GetMetricData is 50 calls a second, and one call here asks for about ten metrics.
RATE_PER_S = 100.0
# Per metric requested. Every query of every call counts, so that few queries over long
# ranges cost less than many over short ones; the free tier does not cover them.
GET_METRIC_DATA_USD = PRICES["metric_data"].usd
# Late points may still change windows of the last hours (PutMetricData: 3 to 24 hours old
# take up to 2 hours); a later run reads this much again and reports what was revised.
SETTLE_S = 3 * 3_600.0
BUDGET_MESSAGE = "asked for {asked} metrics (${usd:.4f}), more than --max-cost allows; run again to continue"


class Chunk(NamedTuple):
    """One call: targets and windows, inside the limits of GetMetricData."""

    targets: tuple[str, ...]
    span: Span
    metrics: int

    @property
    def points(self) -> int:
        """How many values it can give."""
        return self.metrics * self.span.windows


class Plan(NamedTuple):
    """What a run will ask for."""

    chunks: tuple[Chunk, ...]

    @property
    def metrics(self) -> int:
        """Metrics requested, as they are billed."""
        return sum(chunk.metrics for chunk in self.chunks)

    @property
    def usd(self) -> float:
        """Estimated price; pages of an answer are assumed not to be billed again."""
        return self.metrics * GET_METRIC_DATA_USD


class CostError(PortError):
    """The run would cost more than was allowed."""


def plan(
    maps: Mapping[str, AwsMetricMap],
    covered: Mapping[str, list[Covered]],
    *,
    from_s: float,
    to_s: float,
    now_s: float,
    period_s: int,
) -> Plan:
    """Return the calls that are needed to complete [from_s, to_s), finest period first.

    Args:
        maps: Target to its metrics.
        covered: What the history already holds, by target.
        from_s: Epoch seconds.
        to_s: Epoch seconds, at most `now_s`.
        now_s: Decides which periods are still kept.
        period_s: Finest period wanted.
    """
    days = math.ceil((now_s - from_s) / DAY_S) + 1  # one more: spans begin on the hour
    tiers = sorted(history_spans(until_s=now_s, days=days, period_s=period_s), key=lambda span: span.period_s)
    pieces: dict[tuple[int, float, float], list[str]] = {}
    for target, metric_map in maps.items():
        per_call = POINTS_MAX // sum(1 for _ in metric_map.sources())
        for tier in tiers:
            a, b = max(from_s, tier.start_s), min(to_s, tier.end_s)
            for begin_s, end_s in uncovered(covered.get(target, []), a, b) if a < b else []:
                for span in _slices(begin_s, end_s, tier.period_s, per_call):
                    pieces.setdefault(span, []).append(target)
    chunks: list[Chunk] = []
    for (period, begin_s, end_s), targets in sorted(pieces.items(), key=lambda item: item[0]):
        chunks += _packed(targets, maps, Span(period, begin_s, end_s))
    return Plan(tuple(chunks))


def _slices(begin_s: float, end_s: float, period_s: int, windows: int) -> Iterator[tuple[int, float, float]]:
    """Yield (period, begin, end) of at most so many windows, on multiples of the period."""
    at_s = floor_to(begin_s, period_s)
    at_s += period_s if at_s < begin_s else 0.0
    end_s = floor_to(end_s, period_s)
    while at_s < end_s:
        stop_s = min(end_s, at_s + windows * period_s)
        yield period_s, at_s, stop_s
        at_s = stop_s


def _packed(targets: Sequence[str], maps: Mapping[str, AwsMetricMap], span: Span) -> Iterator[Chunk]:
    """Yield chunks of as many targets as one call can take."""
    held: list[str] = []
    metrics = 0
    for target in targets:
        more = sum(1 for _ in maps[target].sources())
        if held and (metrics + more > QUERIES_MAX or (metrics + more) * span.windows > POINTS_MAX):
            yield Chunk(tuple(held), span, metrics)
            held, metrics = [], 0
        held.append(target)
        metrics += more
    if held:
        yield Chunk(tuple(held), span, metrics)


class ReadingClient(CloudWatchClient, Lists, Protocol):
    """What is needed of CloudWatch: values, and which series there are."""


class PacedClient:
    """A CloudWatch client that keeps to a rate, waits when it is throttled, and counts what it asks for.

    Args:
        client: The real one.
        bucket: Rate in metrics per second.
        sleep: Waits so many seconds.
        draws: For jitter.
        told: Gets a sentence for the user after each refusal.
        usd_max: Ends the run when more than this was asked for.
    """

    def __init__(
        self,
        client: ReadingClient,
        *,
        bucket: Bucket,
        sleep: Callable[[float], object],
        draws: Random,
        told: Callable[[str], object],
        usd_max: float = math.inf,
    ) -> None:
        self._client = client
        self._bucket, self._sleep, self._draws, self._told = bucket, sleep, draws, told
        self._usd_max = usd_max
        self.asked = 0

    def get_metric_data(self, **arguments: Any) -> dict[str, Any]:
        """Return one reply, as the client would."""
        metrics = len(arguments["MetricDataQueries"])
        if self.asked + metrics > self._usd_max / GET_METRIC_DATA_USD + 0.5:
            raise CostError(
                BUDGET_MESSAGE.format(asked=self.asked, usd=self.asked * GET_METRIC_DATA_USD),
                backend="cloudwatch",
                retryable=False,
            )
        self.asked += metrics

        return self._patiently(lambda: self._client.get_metric_data(**arguments), metrics)

    def list_metrics(self, **arguments: Any) -> dict[str, Any]:
        """Return one page of a listing, as the client would."""
        return self._patiently(lambda: self._client.list_metrics(**arguments), 1)

    def _patiently(self, call: Callable[[], dict[str, Any]], tokens: int) -> dict[str, Any]:
        def refusable() -> dict[str, Any]:
            try:
                return call()
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if error_code(error) in RETRYABLE_CODES or status >= 500 or status == 429:
                    raise Refused(error, throttled=status < 500) from error
                raise
            except BotoCoreError as error:
                if isinstance(error, HTTPClientError | BotocoreConnectionError):
                    raise Refused(error, throttled=False) from error
                raise

        return patiently(
            refusable,
            bucket=self._bucket,
            tokens=tokens,
            sleep=self._sleep,
            draws=self._draws,
            told=self._told,
        )


def run(
    writer: HistoryWriter,
    source: tuple[Source, Findings],
    maps: Mapping[str, AwsMetricMap],
    client: CloudWatchClient,
    planned: Plan,
    *,
    now_s: float,
    delay_s: float,
) -> Iterator[Chunk]:
    """Read the chunks in order and commit each; yield it when it is durable.

    Raises:
        PortError: If a call fails for good; what was read before is kept.
    """
    state, findings = source
    sensor = CloudWatchSensor(client, maps=maps)
    state.complete = False
    for chunk in planned.chunks:
        answer = sensor.ask(chunk.targets, chunk.span)
        if answer.unanswered:
            raise PortError(
                f"GetMetricData could not answer for {', '.join(sorted(answer.unanswered)[:5])} "
                "(InternalError or Forbidden): check cloudwatch:GetMetricData, and run again to continue",
                backend="cloudwatch",
                retryable=True,
            )
        for target in chunk.targets:
            block = _rows(target, maps[target], answer, chunk.span, findings, now_s=now_s, delay_s=delay_s)
            state.points += sum(len(v) for v in answer.series.get(target, {}).values())
            writer.add(target, block, Rule(), findings)
            stretch = Covered(chunk.span.start_s, chunk.span.end_s, float(chunk.span.period_s))
            state.covered[target] = cover(state.covered.get(target, []), stretch)
        writer.commit(state, findings)
        yield chunk
    state.complete = True
    writer.commit(state, findings)


def reopened(covered: Mapping[str, list[Covered]], *, settle_s: float = SETTLE_S) -> dict[str, list[Covered]]:
    """Return what is covered without its newest stretch, which may have been revised since."""
    result = {}
    for target, spans in covered.items():
        edge_s = max((span.end_s for span in spans), default=0.0) - settle_s
        result[target] = [s._replace(end_s=min(s.end_s, edge_s)) for s in spans if s.start_s < edge_s]
    return result


def _rows(
    target: str,
    metric_map: AwsMetricMap,
    answer: Answer,
    span: Span,
    findings: Findings,
    *,
    now_s: float,
    delay_s: float,
) -> Block:
    series = answer.series.get(target, {})
    found = list(
        observations(
            target,
            metric_map,
            series,
            span,
            now_s=now_s,
            arrival_lag_s=delay_s,
            partial=target in answer.partial,
        )
    )
    for seen in found:
        if seen.quality == Quality.INVALID:
            findings.add(
                FindingKind.PROBLEM,
                f"impossible values (requests={seen.requests}, failures={seen.failures}); the row is kept "
                "and never acted upon",
                target=target,
                at_s=seen.start_s,
            )
    return block_of(found, measured=[_measured(metric_map, series, o) for o in found])


def _measured(
    metric_map: AwsMetricMap, series: Mapping[tuple[str, str], Mapping[float, float]], o: Observation
) -> int:
    """Return the bits of the values that the service gave for this window."""
    bits = 0
    for field, names in metric_map.counts().items():
        if all(o.start_s in series.get((name, "Sum"), {}) for name in names):
            bits |= MEASURED_BIT[field]
    for name, value in (("latency_p50_ms", o.latency_ms_p50), ("latency_p99_ms", o.latency_ms_p99)):
        bits |= MEASURED_BIT[name] if value >= 0.0 else 0
    return bits
