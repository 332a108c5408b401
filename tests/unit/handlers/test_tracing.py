"""Rounds as spans of OpenTelemetry, read back from the SDK's exporter in memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from flyball_handlers import override, tick, tracing, wiring
from flyball_handlers.rounds import NotAcknowledgedError
from flyball_handlers.telemetry import Telemetry
from flyball_handlers.tracing import OtelTraces, Traces, make_traces

from .conftest import World, window


class Recorder:
    """A provider whose spans are kept here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = OtelTraces(provider.get_tracer(tracing.SCOPE))

    def named(self, name: str) -> list[ReadableSpan]:
        """The ended spans of a name, oldest first."""
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def all(self) -> tuple[ReadableSpan, ...]:
        """Every ended span."""
        return self._exporter.get_finished_spans()


@pytest.fixture
def recorder(world: World) -> Iterator[Recorder]:
    """The recorder of the runtime in place."""
    recorder = Recorder()
    world.use(traces=recorder.traces)
    return recorder


def incident(world: World) -> None:
    """A target that fails from four minutes ago."""
    calm = [window("stock", minute, requests=1000) for minute in range(-13, -5)]
    world.sensor.windows = calm + [window("stock", -m, requests=1000, timeouts=400) for m in (4, 3, 2)]


def parents(spans: list[ReadableSpan]) -> set[int | None]:
    """The ids of their parents."""
    return {span.parent.span_id if span.parent else None for span in spans}


def test_a_round_is_one_span_with_what_it_came_to(world: World, recorder: Recorder) -> None:
    """Who looks at a slow tick wants to know what it did."""
    incident(world)
    tick.handler({})
    (span,) = recorder.named("flyball.round")
    assert span.attributes is not None
    assert {
        "flyball.trigger": "tick",
        "flyball.targets": 5,
        "flyball.policy.hash": world.runtime.policies.hash,
        "flyball.changes": 1,
        "flyball.conflicts": 0,
        "flyball.backend_errors": 0,
        "flyball.document.outcome": "deployed",
    }.items() <= span.attributes.items()
    assert span.status.status_code is StatusCode.UNSET


def test_a_change_is_a_span_with_the_id_that_why_takes(world: World, recorder: Recorder) -> None:
    """From a trace to its reasons without guessing: the same id stands in the log and in the journal."""
    incident(world)
    tick.handler({})
    (span,) = recorder.named("flyball.decision")
    (logged,) = [line["facts"] for line in world.lines() if line.get("message") == "decision"]
    assert span.attributes is not None
    assert span.attributes["flyball.decision.id"] == logged["decision"]
    assert span.attributes["flyball.target"] == "stock"
    assert span.attributes["flyball.regime"] == "SATURATED"
    assert span.attributes["flyball.budget_ratio"] == 0.0
    assert list(span.attributes["flyball.reasons"]) == logged["reasons"]
    assert parents([span]) == {recorder.named("flyball.round")[0].context.span_id}


def test_every_call_of_a_port_is_a_span_below_the_round(world: World, recorder: Recorder) -> None:
    """A trace shows what the minute was spent on; the SDK's own spans, if any, hang below these."""
    incident(world)
    tick.handler({})
    (above,) = recorder.named("flyball.round")
    names = {span.name for span in recorder.all()}
    calls = {
        "flyball.checkpoints.load",
        "flyball.checkpoints.save",
        "flyball.holds.active",
        "flyball.sensor.read",
        "flyball.circuits.publish",
        "flyball.journal.append",
        "flyball.publisher.publish",
    }
    assert calls <= names
    below = [span for span in recorder.all() if span.name in calls]
    assert parents(below) == {above.context.span_id}
    assert all(span.status.status_code is StatusCode.UNSET for span in below)


def test_a_failing_backend_marks_its_call_and_the_round_and_says_nothing_of_its_words(
    world: World, recorder: Recorder
) -> None:
    """`error.type` by the conventions; what a backend said may hold names that belong to others."""
    world.publisher.fail_next(1)
    tick.handler({})
    (call,) = recorder.named("flyball.publisher.publish")
    (above,) = recorder.named("flyball.round")
    for span in (call, above):
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes is not None
        assert span.attributes["error.type"] == "MemoryPublisher"
        assert not span.events
    assert call.status.description == "PortError"


def test_a_round_that_fails_leaves_its_span_too(world: World, recorder: Recorder) -> None:
    """The trace of the minute in which nothing worked is the one that is looked for."""
    world.checkpoints.fail_next(1)
    with pytest.raises(NotAcknowledgedError):
        tick.handler({})
    (above,) = recorder.named("flyball.round")
    assert above.attributes is not None
    assert above.attributes["flyball.backend_errors"] == 5
    assert above.status.status_code is StatusCode.ERROR


def test_an_exception_that_is_no_backend_s_is_named_by_its_type(world: World, recorder: Recorder) -> None:
    """A defect of ours passes through the spans as it would without them."""

    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    world.holds.active = explode  # type: ignore[assignment,method-assign]
    with pytest.raises(ZeroDivisionError):
        tick.handler({})
    (call,) = recorder.named("flyball.holds.active")
    assert call.attributes is not None
    assert call.attributes["error.type"] == "ZeroDivisionError"
    assert recorder.named("flyball.round")[0].status.status_code is StatusCode.ERROR


def test_an_override_s_round_says_what_woke_it(world: World, recorder: Recorder) -> None:
    """Every way into a round is traced, not the tick alone."""
    override.handler({"action": "open", "target": "stock", "for_s": 600, "by": "nora", "why": "drill"})
    (span,) = recorder.named("flyball.round")
    assert span.attributes is not None
    assert (span.attributes["flyball.trigger"], span.attributes["flyball.targets"]) == ("override", 1)


def test_spans_of_decisions_are_bounded(
    world: World, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fleet-wide outage must not be a trace of ten thousand spans; the number is told all the same."""
    monkeypatch.setattr(tracing, "DECISIONS_MAX", 2)
    failing = ("stock", "mail", "search")
    world.sensor.windows = [
        window(name, minute, requests=1000, timeouts=400 if minute > -5 else 0)
        for name in failing
        for minute in range(-13, -1)
    ]
    tick.handler({})
    assert len(recorder.named("flyball.decision")) == 2
    (above,) = recorder.named("flyball.round")
    assert above.attributes is not None
    assert above.attributes["flyball.changes"] == 3


def test_attributes_of_a_port_that_are_no_calls_pass_through() -> None:
    """An adapter's fields are no operations."""

    class Port:
        table = "t"

    recorder = Recorder()
    assert tracing._Traced(Port(), "x", recorder.traces._tracer).table == "t"
    assert recorder.all() == ()


def test_traces_are_off_unless_asked_for() -> None:
    """The same runtime, without a span and without a wrapper around a port."""
    runtime = wiring.build({"FLYBALL_REGION": "eu-west-1"})
    assert type(runtime.traces) is Traces
    assert runtime.traces.ports(runtime.ports) is runtime.ports
    assert isinstance(
        wiring.build({"FLYBALL_REGION": "eu-west-1", "FLYBALL_TRACES": "otel"}).traces, OtelTraces
    )


def test_without_the_package_rounds_go_on_and_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that was taken away must not take the controller with it."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    lines = io.StringIO()
    telemetry = Telemetry(stream=lines, service=f"test-{uuid.uuid4().hex}")
    assert type(make_traces("otel", telemetry.error)) is Traces
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["level"], line["message"]) == ("ERROR", "traces unavailable")
    assert "FLYBALL_TRACES=off" in line["facts"]["remedy"]


def test_nothing_is_imported_while_traces_are_off() -> None:
    """A cold start does not pay for what is switched off."""
    code = (
        "import sys; from flyball_handlers import alarm, override, probe, stream, tick, wiring; "
        "wiring.build({'FLYBALL_REGION': 'eu-west-1'}); "
        "sys.exit(any(name.split('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    paths = [str(path) for path in sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {paths!r}; {code}"], check=False, timeout=60
    )
    assert done.returncode == 0
