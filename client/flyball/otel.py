"""The metrics and events of a Runtime as OpenTelemetry instruments, for those who collect them that way.

    from flyball.otel import OpenTelemetry

    flyball.configure(Runtime(hooks=OpenTelemetry(), write=lambda line: None))

(`write` keeps the same counts from being logged for CloudWatch as well.) Counts
and latencies come with each flush, so a healthy call costs nothing more;
rejections and changes of state come as they happen. Attributes are names and
closed sets of words, so their number is bounded. The API package is asked for
when the adapter is made, and is no dependency.

    flyball.<name>            counter   one for each of telemetry.COUNT_METRICS     target, function
    flyball.latency           histogram of attempts, ms                             target, function
    flyball.rejected_calls    counter   calls that were not made                    target, reason
    flyball.circuit_state     gauge     number of the CircuitState                  target
    flyball.circuit_changes   counter                                               target, before, after, by
    flyball.params_applied    counter   newer documents obeyed                      target
    flyball.stacked_retries   counter   repetitions by the SDK, beneath ours        target
    flyball.keys_missing      counter   calls without their idempotency key         target
    flyball.dead_letters      counter   calls given up, to be kept                  target, reason, kept

Source: OpenTelemetry Metrics API (get_meter, create_counter, create_histogram,
create_gauge; the last since opentelemetry-api 1.23).
"""

from __future__ import annotations

from typing import Any, Protocol

from flyball.errors import SettingsError
from flyball.hooks import (
    CallRejected,
    CircuitChanged,
    Event,
    KeyMissing,
    LetterWritten,
    MetricsFlushed,
    ParamsApplied,
    StackedRetries,
)
from flyball.telemetry import COUNT_METRICS, LATENCY, counts_of

PREFIX = "flyball."


class Meter(Protocol):
    """What is used of opentelemetry.metrics.Meter."""

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return an instrument with add(amount, attributes)."""
        ...

    def create_histogram(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return an instrument with record(amount, attributes)."""
        ...

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return an instrument with set(amount, attributes)."""
        ...


class OpenTelemetry:
    """A hook that feeds the instruments of one meter."""

    __slots__ = (
        "_changes",
        "_counts",
        "_keys",
        "_latency",
        "_letters",
        "_params",
        "_rejected",
        "_stacked",
        "_state",
    )

    def __init__(self, meter: Meter | None = None) -> None:
        """Make the instruments.

        Args:
            meter: Default the one of the global provider, named "flyball".

        Raises:
            SettingsError: It is no meter, or none was given, and opentelemetry-api is not installed.
        """
        if meter is None:
            meter = _global_meter()
        if not callable(getattr(meter, "create_counter", None)):
            from flyball.misuse import refuse

            refuse("meter", meter, "a meter of OpenTelemetry, or None for the global provider's")
        self._counts = {name: meter.create_counter(PREFIX + name, unit="1") for name in COUNT_METRICS}
        self._latency = meter.create_histogram(PREFIX + LATENCY, unit="ms", description="of attempts")
        self._rejected = meter.create_counter(PREFIX + "rejected_calls", unit="1")
        self._state = meter.create_gauge(PREFIX + "circuit_state", description="number of the CircuitState")
        self._changes = meter.create_counter(PREFIX + "circuit_changes", unit="1")
        self._params = meter.create_counter(PREFIX + "params_applied", unit="1")
        self._stacked = meter.create_counter(PREFIX + "stacked_retries", unit="1")
        self._keys = meter.create_counter(PREFIX + "keys_missing", unit="1")
        self._letters = meter.create_counter(PREFIX + "dead_letters", unit="1")

    def __call__(self, event: Event) -> None:
        """Take an event of a Runtime."""
        where = {"target": event.target}
        match event:
            case MetricsFlushed(_, function, counters):
                where["function"] = function
                for name, value in counts_of(counters).items():
                    self._counts[name].add(value, where)
                for latency_ms in counters.latencies_ms.copy():  # a late call may add to them
                    self._latency.record(latency_ms, where)
            case CallRejected(_, reason, _):
                self._rejected.add(1, {**where, "reason": reason.name.lower()})
            case CircuitChanged(_, before, after, by):
                self._state.set(int(after), where)
                names = {"before": before.name.lower(), "after": after.name.lower(), "by": by}
                self._changes.add(1, {**where, **names})
            case ParamsApplied():
                self._params.add(1, where)
            case StackedRetries(_, sdk_retries):
                self._stacked.add(sdk_retries, where)
            case KeyMissing():
                self._keys.add(1, where)
            case LetterWritten(_, reason, _, kept):
                self._letters.add(1, {**where, "reason": reason, "kept": kept})
            case _:
                pass  # a scheduled retry is counted as one of `retries` once it was made


def _global_meter() -> Meter:
    from importlib import import_module

    import flyball

    try:
        metrics = import_module("opentelemetry.metrics")
    except ImportError as cause:
        raise SettingsError(
            "OpenTelemetry() needs a meter, or opentelemetry-api to be installed: add it to the "
            "function's requirements",
            field="meter",
        ) from cause
    meter: Meter = metrics.get_meter("flyball", flyball.__version__)
    return meter
