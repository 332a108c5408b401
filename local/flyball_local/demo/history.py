"""The days before the demo's day, written into the embedded CloudWatch.

A controller that meets a target for the first time learns from its past metrics
(`Sensor.history`); a simulation that began with an empty CloudWatch would test
a cold start only. The past is quiet: counted minutes, hourly batch included.
Points go into the store directly, under the time of then; the live day goes
through EMF log lines.
"""

from __future__ import annotations

from collections.abc import Iterable

from flyball.call import Counters
from flyball.telemetry import LATENCY, NAMESPACE
from flyball_analytics.plant import QuietService
from flyball_local.cloudwatch import MetricKey, MetricStore, metric_key

MINUTE_S = 60
# One day holds every minute of the hour 24 times and gives the baseline full
# confidence (Policy.confidence_full_s); more only costs time.
HISTORY_DAYS = 1


def write_history(
    store: MetricStore, services: Iterable[QuietService], *, until_s: float, days: int = HISTORY_DAYS
) -> int:
    """Write `days` of quiet minutes that end at `until_s`; return how many minutes of services that were."""
    written = 0
    last = int(until_s // MINUTE_S)
    for service in services:
        keys = _Keys(service.service.name)
        for minute in range(last - days * 1_440, last):
            counters = service.minute(minute)
            if counters.requests:
                _put(store, keys, counters, float(minute * MINUTE_S))
                written += 1
    return written


class _Keys:
    """The series of one target."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._known: dict[str, MetricKey] = {}

    def __getitem__(self, metric: str) -> MetricKey:
        known = self._known.get(metric)
        if known is None:
            known = self._known[metric] = metric_key(NAMESPACE, metric, {"target": self._target})
        return known


def _put(store: MetricStore, keys: _Keys, counters: Counters, at_s: float) -> None:
    """Store one minute as it was then. Within a minute that has requests an absent counter reads as zero."""
    now_s = at_s + 2 * MINUTE_S
    counts = {
        "requests": counters.requests,
        "attempts": counters.requests + counters.retries,
        "retries": counters.retries,
        "first_attempt_failures": counters.timeouts + counters.throttles + counters.errors_fast,
        "timeouts": counters.timeouts,
        "errors_fast": counters.errors_fast,
        "request_failures": counters.request_failures,
    }
    for metric, count in counts.items():
        if count:
            store.put(keys[metric], float(count), at_s=at_s, now_s=now_s, unit="Count")
    samples = [(latency_ms, 1.0) for latency_ms in counters.latencies_ms]
    if samples:
        store.put_samples(keys[LATENCY], samples, at_s=at_s, now_s=now_s, unit="Milliseconds")
