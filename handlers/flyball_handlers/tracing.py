"""Traces of rounds in OpenTelemetry's terms, for whoever sets FLYBALL_TRACES=otel.

A round is one span, each call of a port a span below it, each decision that
changed something one more, with the id that `flyball why` takes. Only
OpenTelemetry's API is used, and imported only when it is asked for: which spans
are kept and where they go is the layer's or the embedding's (its SDK), and so is
the function's own span, which ours become children of.

No text from outside becomes a span's name. Attributes hold names of targets and
our own words; never what a backend said. Tracing must not be able to stop a
controller: without the package it is told of once, and rounds go on.

Source: OpenTelemetry specification 1.50, "Trace API", "Span"; semantic
conventions, "Recording errors" (`error.type`) and "Attribute naming".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from flyball_controller.core.model import Decision
from flyball_controller.ports import PortError
from flyball_controller.round_records import Ports, RunReport, Trigger

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

SCOPE = "flyball"  # the instrumentation scope
ROUND = "flyball.round"
DECISION = "flyball.decision"
DECISIONS_MAX = 100  # spans per round; all decisions are counted on the round's span


class Traces:
    """What a round tells of itself; this one tells nothing, and costs nothing."""

    def ports(self, ports: Ports) -> Ports:
        """Return the ports that a round is to use."""
        return ports

    @contextmanager
    def round(self, trigger: Trigger, *, targets: int, policy_hash: str) -> Iterator[RoundTrace]:
        """Go around one round; what it came to is told to what this yields."""
        yield RoundTrace()


class RoundTrace:
    """One round's span, or none."""

    def tell(self, report: RunReport) -> None:
        """Take what the round came to."""


class OtelTraces(Traces):
    """Spans through OpenTelemetry's API.

    Args:
        tracer: E.g. `opentelemetry.trace.get_tracer(SCOPE)`.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def ports(self, ports: Ports) -> Ports:
        """Return ports whose every call is a span named `flyball.PORT.OPERATION`."""
        return Ports(
            **{name: cast("Any", _Traced(port, name, self._tracer)) for name, port in ports._asdict().items()}
        )

    @contextmanager
    def round(self, trigger: Trigger, *, targets: int, policy_hash: str) -> Iterator[RoundTrace]:
        """Go around one round with the span that everything in it is below."""
        attributes: dict[str, Any] = {
            "flyball.trigger": trigger.kind,
            "flyball.targets": targets,
            "flyball.policy.hash": policy_hash,
        }
        with self._tracer.start_as_current_span(ROUND, attributes=attributes) as span:
            yield _OtelRound(span, self._tracer)


class _OtelRound(RoundTrace):
    def __init__(self, span: Span, tracer: Tracer) -> None:
        self._span = span
        self._tracer = tracer

    def tell(self, report: RunReport) -> None:
        """Put the totals on the round's span, a span per change below it, and failures where they belong."""
        changed = [decision for decision in report.decisions if decision.changed]
        self._span.set_attributes(
            {
                "flyball.decisions": len(report.decisions),
                "flyball.changes": len(changed),
                "flyball.conflicts": report.conflicts,
                "flyball.backend_errors": len(report.errors),
            }
        )
        if report.published is not None:
            self._span.set_attribute("flyball.document.outcome", report.published.status.code)
            self._span.set_attribute("flyball.document.revision", report.published.revision)
        if report.errors:
            _, error = report.errors[0]
            _fail(self._span, error.backend, "a backend failed; the round went on without it")
        for decision in changed[:DECISIONS_MAX]:
            self._tracer.start_span(DECISION, attributes=attributes_of(decision)).end()


class _Traced:
    """A port whose calls are spans. Attributes that are no calls pass through."""

    def __init__(self, port: object, name: str, tracer: Tracer) -> None:
        self._port = port
        self._name = name
        self._tracer = tracer

    def __getattr__(self, operation: str) -> Any:
        found = getattr(self._port, operation)
        return self._spanned(operation, found) if callable(found) else found

    def _spanned(self, operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
        name = f"flyball.{self._name}.{operation}"

        @wraps(call)
        def spanned(*arguments: Any, **options: Any) -> Any:
            # What a backend says may hold anything: its kind is recorded, not its words.
            with self._tracer.start_as_current_span(
                name, record_exception=False, set_status_on_exception=False
            ) as span:
                try:
                    return call(*arguments, **options)
                except Exception as error:
                    kind = error.backend if isinstance(error, PortError) else type(error).__name__
                    _fail(span, kind, type(error).__name__)
                    raise

        return spanned


def attributes_of(decision: Decision) -> dict[str, Any]:
    """Return a decision as attributes; `flyball.decision.id` is what the journal and the log call it."""
    return {
        "flyball.decision.id": f"{decision.target}@{decision.state_version}",
        "flyball.target": decision.target,
        "flyball.regime": decision.regime.name,
        "flyball.circuit": decision.applied.circuit.name,
        "flyball.max_attempts": decision.applied.max_attempts,
        "flyball.budget_ratio": decision.applied.budget_ratio,
        "flyball.urgent": decision.urgent,
        "flyball.reasons": [item.reason.name for item in decision.evidence],
    }


def _fail(span: Span, kind: str, words: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, words))


def make_traces(wanted: str, say: Callable[..., None]) -> Traces:
    """Return what FLYBALL_TRACES asks for; `say` is told if it cannot be had.

    Args:
        wanted: "off" or "otel".
        say: Called with a message and facts.
    """
    if wanted != "otel":
        return Traces()
    try:
        from opentelemetry.trace import get_tracer
    except ImportError:
        remedy = "add a layer that holds opentelemetry-api, or set FLYBALL_TRACES=off"
        say("traces unavailable", remedy=remedy)
        return Traces()
    from flyball import __version__

    return OtelTraces(get_tracer(SCOPE, __version__))
