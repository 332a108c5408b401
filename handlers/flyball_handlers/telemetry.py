"""What the controller says about itself: one JSON object per log line, and its own metrics.

Powertools does the formatting: Logger for lines, its EMF serialiser for metrics
(namespace `flyball/controller`, one dimension, `service`). This file adds what the
controller needs and they leave open.

* A log line is one JSON object whatever it holds (O6): the message is a constant,
  everything that came from outside sits under `facts`, and the output is ASCII, so
  that a lone surrogate in an alarm's name cannot break the stream.
* No text from outside becomes a metric name or dimension: cardinality is money (T8).
* Counts are summed per invocation and written once, stamped with the controller's
  clock, so that an embedded run on a virtual clock tells the virtual time.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import IO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from flyball_controller.aws.settings import service_name

NAMESPACE = "flyball/controller"
SERVICE = service_name("flyball")


class Telemetry:
    """Log lines and metrics of one container. `totals` sums every count since it was made.

    Args:
        stream: Where lines go; None is standard output, which Lambda sends to CloudWatch Logs.
        service: Name of the logger and value of the metrics' dimension; tells installations apart.
        level: Lowest level that is written.
        silent: Keep the totals and write nothing: for an embedded run that has its own output.
    """

    def __init__(
        self,
        *,
        stream: IO[str] | None = None,
        service: str = SERVICE,
        level: int = logging.INFO,
        silent: bool = False,
    ) -> None:
        self.totals: Counter[str] = Counter()
        self._stream = stream
        self._service = service
        self._silent = silent
        self._counts: Counter[str] = Counter()
        self._gauges: dict[str, float] = {}
        self._logger = Logger(
            service=service, level=level, stream=stream, json_serializer=_one_line, utc=True, use_rfc3339=True
        )

    def info(self, message: str, **facts: object) -> None:
        """Write what happened. `message` is a constant of ours; what came from outside goes into facts."""
        self._write(self._logger.info, message, facts)

    def warning(self, message: str, **facts: object) -> None:
        """Write what somebody should look at some time."""
        self._write(self._logger.warning, message, facts)

    def error(self, message: str, **facts: object) -> None:
        """Write what kept the controller from doing its work."""
        self._write(self._logger.error, message, facts)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a count of this invocation. A zero is written too: it says that somebody looked."""
        self._counts[name] += n
        self.totals[name] += n

    def seconds(self, name: str, value_s: float) -> None:
        """Set a duration in seconds; the largest of the invocation stands."""
        self._gauges[name] = max(value_s, self._gauges.get(name, 0.0))

    def check(self, target: str, *, good: bool, latency_ms: float, at_s: float) -> None:
        """Write what a check of a target came to, as one EMF object with the dimension `target`.

        Targets with checks are named in the policy, so their number is the operator's choice.
        """
        if self._silent:
            return
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=self._service)
        metrics.add_dimension(name="target", value=target)
        metrics.add_metric(name="check_good", unit=MetricUnit.Count, value=int(good))
        metrics.add_metric(name="check_latency", unit=MetricUnit.Milliseconds, value=latency_ms)
        self._emit(metrics, at_s)

    def flush(self, *, now_s: float) -> None:
        """Write the metrics of this invocation as one EMF object, and forget them."""
        counts, gauges = self._counts, self._gauges
        self._counts, self._gauges = Counter(), {}
        if self._silent or not (counts or gauges):
            return
        metrics = EphemeralMetrics(namespace=NAMESPACE, service=self._service)
        for name, n in counts.items():
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=n)
        for name, value_s in gauges.items():
            metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=value_s)
        self._emit(metrics, now_s)

    def _emit(self, metrics: EphemeralMetrics, at_s: float) -> None:
        blob = metrics.serialize_metric_set()
        blob["_aws"]["Timestamp"] = int(at_s * 1000.0)
        stream = self._stream or sys.stdout
        stream.write(_one_line(blob) + "\n")
        stream.flush()

    def _write(self, write: Callable[..., None], message: str, facts: dict[str, object]) -> None:
        if not self._silent:
            # Under one key of our own: logging refuses a fact named like an attribute of LogRecord.
            write(message, extra={"facts": facts}, stacklevel=4)


def _one_line(blob: object) -> str:
    """Return one line of strict JSON in ASCII; NaN and infinities, which JSON has no word for, as text."""
    line = json.dumps(blob, default=str, separators=(",", ":"))
    return json.dumps(json.loads(line, parse_constant=str), separators=(",", ":"))
