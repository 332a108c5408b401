"""What hooks are told, in which order, and that they can do no harm; OpenTelemetry as one of them."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace

import pytest

import flyball
from flyball.contract import DEFAULT_PARAMS, BreakerParams, CircuitState, Document, RetryParams
from flyball.errors import CircuitOpenError, SettingsError
from flyball.hooks import (
    CallRejected,
    CircuitChanged,
    Hooks,
    KeyMissing,
    LetterWritten,
    MetricsFlushed,
    ParamsApplied,
    RetryScheduled,
    StackedRetries,
)
from flyball.otel import OpenTelemetry
from flyball.outcome import Outcome, RejectReason
from flyball.sources import StaticCircuits, StaticDocuments
from flyball.telemetry import COUNT_METRICS
from flyball.testing import no_sleep
from unit.client.support import PaymentError, ScriptedReads, World, circuit

FRAGILE = DEFAULT_PARAMS._replace(breaker=BreakerParams(min_calls=1, close_after=1))


def test_a_scheduled_retry_is_told_with_its_wait():
    """Which attempt failed, how, and how long it takes now."""
    events: list[object] = []
    world = World(hooks=events.append)
    with no_sleep(within=world.runtime):
        world.target().guard(world.function(TimeoutError(), "fine"))()
    assert events == [RetryScheduled("t", Outcome.TIMEOUT, 1, 0.05)]


def test_a_healthy_call_tells_nothing():
    """It would cost every call what few want to know."""
    events: list[object] = []
    world = World(hooks=events.append)
    world.target().guard(world.function("fine"))()
    assert events == []


def test_a_circuit_tells_its_whole_story():
    """Trip, refusal, pause over, closed by a probe: each once, by whom."""
    events: list[object] = []
    world = World(hooks=events.append)
    handle = world.target()
    handle.target.apply_params(FRAGILE, 1)
    world.clock.fixed_draw = 0.0
    guarded = handle.guard(world.function(PaymentError(), "fine", took_s=0.0))
    with pytest.raises(PaymentError):
        guarded()
    with pytest.raises(CircuitOpenError):
        guarded()
    world.clock.pass_s(30.0)
    guarded()
    closed, half, opened = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN
    assert [event for event in events if not isinstance(event, MetricsFlushed)] == [
        CircuitChanged("t", closed, opened, "local"),
        CallRejected("t", RejectReason.CIRCUIT_OPEN, 30.0),
        CircuitChanged("t", opened, half, "local"),
        CircuitChanged("t", half, closed, "local"),
    ]


def test_a_published_and_a_held_state_name_who_decided():
    """A dashboard must tell an operator from an outage."""
    events: list[object] = []
    world = World(hooks=events.append, circuits=StaticCircuits([circuit(CircuitState.FORCED_CLOSED)]))
    handle = world.target()
    guarded = handle.guard(world.function(1, 2, took_s=0.0))
    guarded()
    handle.target.hold(CircuitState.HALF_OPEN)
    handle.target.hold(None)
    guarded()
    assert [(event.before, event.after, event.by) for event in events] == [
        (CircuitState.CLOSED, CircuitState.FORCED_CLOSED, "published"),
        (CircuitState.FORCED_CLOSED, CircuitState.HALF_OPEN, "held"),
        (CircuitState.HALF_OPEN, CircuitState.FORCED_CLOSED, "published"),
    ]


def test_applied_parameters_are_told_once_per_document():
    """Before and after, so that a log can show the difference."""
    single = DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1))
    document = Document(7, "", "", {"t": single})
    events: list[object] = []
    world = World(hooks=events.append, documents=StaticDocuments(document))
    guarded = world.target().guard(world.function(*range(5), took_s=20.0))
    for _ in range(5):
        guarded()
    applied = [event for event in events if isinstance(event, ParamsApplied)]
    assert applied == [ParamsApplied("t", 7, DEFAULT_PARAMS, single)]


def test_what_was_counted_is_told_when_it_is_flushed():
    """Also if the log cannot be written; and not if nothing happened."""
    events: list[object] = []

    def full(line: str) -> None:
        raise OSError("disk full")

    world = World(hooks=events.append)
    world.runtime._flush_write = full
    world.target().guard(world.function(1))()
    counters = world.counters
    assert world.runtime.flush() == 0
    assert events == [MetricsFlushed("t", "", counters)]
    assert counters.requests == 1
    assert world.runtime.flush() == 0
    assert len(events) == 1


def test_hooks_that_raise_are_counted_and_nothing_else_happens():
    """A broken dashboard must not fail the call that it looks at, nor keep the next hook from its event."""
    error, events = RuntimeError("dashboard down"), []

    def broken(event: object) -> None:
        raise error

    world = World(hooks=[broken, events.append])
    with no_sleep(within=world.runtime):
        assert world.target().guard(world.function(TimeoutError(), "fine"))() == "fine"
    assert len(events) == 1
    assert (world.runtime.hooks.failed, world.runtime.hooks.last_error) == (1, error)


def test_an_interruption_inside_a_hook_is_no_error_of_the_hook():
    """Ctrl-C while a hook runs must stop the program, and free what the call held."""

    def interrupted(event: object) -> None:
        raise KeyboardInterrupt

    world = World(hooks=interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.target().guard(world.function(TimeoutError()))()
    assert world.counters.timeouts == 1


def test_the_other_forms_tell_the_same():
    """Permits and loops of attempts, and coroutines."""
    events: list[object] = []
    world = World(hooks=events.append)
    handle = world.target()
    handle.target.apply_params(FRAGILE, 1)

    @handle.guard
    async def call() -> None:
        raise PaymentError

    with pytest.raises(PaymentError):
        asyncio.run(call())
    with pytest.raises(CircuitOpenError):
        handle.acquire()
    assert [type(event) for event in events] == [CircuitChanged, CallRejected]


def test_changes_are_collected_only_for_those_who_look():
    """Without hooks nothing grows."""
    world = World()
    handle = world.target()
    handle.target.hold(CircuitState.FORCED_OPEN)
    assert handle.target.take_changes() == []
    handle.target.watch()
    handle.target.hold(None)
    handle.target.watch()
    assert len(handle.target.take_changes()) == 1
    assert handle.target.take_changes() == []


def test_one_hook_or_several():
    """A function is one, whatever else it can do."""
    seen: list[object] = []
    event = KeyMissing("t", "f")
    Hooks(seen.append).emit(event)
    Hooks([seen.append, seen.append]).emit(event)
    assert seen == [event] * 3


# --- OpenTelemetry --------------------------------------------------------------------


class Instrument:
    """What the API's instruments have in common, remembered."""

    def __init__(self) -> None:
        self.values: list[tuple[float, dict[str, str]]] = []

    def add(self, amount: float, attributes: dict[str, str]) -> None:
        self.values.append((amount, dict(attributes)))

    record = set = add


class FakeMeter:
    """In the shape of opentelemetry.metrics.Meter."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, str]] = {}
        self.instruments: dict[str, Instrument] = {}

    def _create(self, kind: str, name: str, unit: str) -> Instrument:
        assert name not in self.made, "the API warns of duplicates"
        self.made[name] = (kind, unit)
        self.instruments[name] = Instrument()
        return self.instruments[name]

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Instrument:
        return self._create("counter", name, unit)

    def create_histogram(self, name: str, unit: str = "", description: str = "") -> Instrument:
        return self._create("histogram", name, unit)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Instrument:
        return self._create("gauge", name, unit)


def values(meter: FakeMeter, name: str) -> list[tuple[float, dict[str, str]]]:
    return meter.instruments[f"flyball.{name}"].values


def test_opentelemetry_gets_every_count_and_latency():
    """The same names and numbers as the log lines, with target and function."""
    meter = FakeMeter()
    world = World(hooks=OpenTelemetry(meter), function="checkout")
    guarded = world.target().guard(world.function(TimeoutError(), "fine", KeyError()))
    with no_sleep(within=world.runtime):
        guarded()
        with pytest.raises(KeyError):
            guarded()
    world.runtime.flush()
    where = {"target": "t", "function": "checkout"}
    counted = {name: values(meter, name) for name in COUNT_METRICS}
    assert counted["requests"] == [(2, where)]
    assert counted["attempts"] == [(3, where)]
    assert counted["timeouts"] == counted["first_attempt_failures"] == [(1, where)]
    assert counted["errors_permanent"] == [(1, where)]
    assert [value for value, _ in values(meter, "latency")] == pytest.approx([10.0, 10.0, 10.0])
    assert meter.made["flyball.latency"] == ("histogram", "ms")
    assert len(meter.made) == len(COUNT_METRICS) + 8


def test_opentelemetry_gets_every_event():
    """Words from closed sets, in small letters; the state as its fixed number."""
    meter = FakeMeter()
    hook = OpenTelemetry(meter)
    hook(CallRejected("t", RejectReason.BULKHEAD_FULL, 0.0))
    hook(CircuitChanged("t", CircuitState.CLOSED, CircuitState.OPEN, "local"))
    hook(ParamsApplied("t", 3, DEFAULT_PARAMS, DEFAULT_PARAMS))
    hook(StackedRetries("t", 4))
    hook(KeyMissing("t", "charge"))
    hook(LetterWritten("t", "budget", 2, kept=False))
    hook(RetryScheduled("t", Outcome.TIMEOUT, 1, 0.1))
    assert values(meter, "rejected_calls") == [(1, {"target": "t", "reason": "bulkhead_full"})]
    assert values(meter, "circuit_state") == [(2, {"target": "t"})]
    change = {"target": "t", "before": "closed", "after": "open", "by": "local"}
    assert values(meter, "circuit_changes") == [(1, change)]
    assert values(meter, "params_applied") == [(1, {"target": "t"})]
    assert values(meter, "stacked_retries") == [(4, {"target": "t"})]
    assert values(meter, "keys_missing") == [(1, {"target": "t"})]
    assert values(meter, "dead_letters") == [(1, {"target": "t", "reason": "budget", "kept": False})]
    assert all(values(meter, name) == [] for name in (*COUNT_METRICS, "latency"))


def test_the_global_meter_is_used_if_none_is_given(monkeypatch):
    """Asked for when the adapter is made, by the package's name and version."""
    meter, asked = FakeMeter(), []
    api = ModuleType("opentelemetry.metrics")
    api.get_meter = lambda name, version: asked.append((name, version)) or meter
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", api)
    OpenTelemetry()
    assert asked == [("flyball", flyball.__version__)]
    assert meter.made


def test_without_the_package_the_remedy_is_named(monkeypatch):
    """In one line; `field` names what is missing."""
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(SettingsError, match="opentelemetry-api") as caught:
        OpenTelemetry()
    assert caught.value.field == "meter"


# --- stacked retries ------------------------------------------------------------------


class ClientError(Exception):
    """In the shape of botocore.exceptions.ClientError."""

    def __init__(self, retries: object, status: int = 503) -> None:
        super().__init__("unavailable")
        self.response = {
            "Error": {"Code": "ServiceUnavailable"},
            "ResponseMetadata": {"RetryAttempts": retries, "HTTPStatusCode": status},
        }


def line_of(marker: str) -> int:
    with open(__file__) as source:
        return next(number for number, line in enumerate(source, 1) if f"# {marker}" in line)


@pytest.mark.parametrize("form", ["guard", "attempts"])
def test_retries_of_the_sdk_beneath_ours_are_told_once_at_the_users_line(form):
    """4 x 5 = 20 requests in an outage: a warning where the request is made, an event each time."""
    events: list[object] = []
    world = World(hooks=events.append)
    handle = world.target()

    def by_guard() -> None:
        raise ClientError(4)  # in guard

    def by_attempts() -> None:
        for attempt in handle.attempts():
            with attempt:
                raise ClientError(4)  # in attempts

    call = handle.guard(by_guard) if form == "guard" else by_attempts

    def twice() -> None:
        for _ in range(2):
            with pytest.raises(ClientError):
                call()

    with no_sleep(within=world.runtime), pytest.warns(flyball.FlyballWarning) as said:
        twice()
    assert len(said) == 1
    assert (said[0].filename, said[0].lineno) == (__file__, line_of(f"in {form}"))
    assert "4 times" in str(said[0].message)
    stacked = [event for event in events if isinstance(event, StackedRetries)]
    assert stacked == [StackedRetries("t", 4)] * 3  # of three attempts: the budget had one retry


def test_an_error_that_was_never_raised_is_told_at_the_line_that_reports_it():
    """By word there is no traceback."""
    world = World()
    permit = iter(world.target().attempts())
    attempt = next(permit).begin()
    with pytest.warns(flyball.FlyballWarning) as said:
        attempt.failure(ClientError(1))  # by word
    assert (said[0].filename, said[0].lineno) == (__file__, line_of("by word"))


@pytest.mark.parametrize("retries", [0, None, "4", True, -1])
def test_a_request_that_was_not_repeated_is_no_reason_to_warn(retries):
    """Nor one of which that is not known."""
    world = World()
    with pytest.raises(ClientError), no_sleep(within=world.runtime):
        world.target().guard(world.function(*[ClientError(retries)] * 4))()


@pytest.mark.parametrize("response", [None, {}, {"ResponseMetadata": None}, SimpleNamespace(status_code=503)])
def test_other_shapes_of_answers_are_none_of_its_business(response):
    """requests, httpx, and whatever else has a response."""
    error = PaymentError()
    error.response = response
    world = World()
    with pytest.raises(PaymentError), no_sleep(within=world.runtime):
        world.target().guard(world.function(*[error] * 4))()


def test_retries_of_the_sdk_alone_are_fine():
    """Not idempotent, or a single attempt by the document: there is one loop, theirs."""
    world = World()
    with pytest.raises(ClientError):
        world.target(idempotent=False).guard(world.function(ClientError(4)))()
    single = DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1))
    other = World(documents=StaticDocuments(Document(1, "", "", {"t": single})))
    with pytest.raises(ClientError):
        other.target().guard(other.function(ClientError(4)))()


def test_reads_that_fail_tell_nothing():
    """A store that is down is not the user's event."""
    events: list[object] = []
    world = World(hooks=events.append, documents=ScriptedReads(OSError()), circuits=ScriptedReads(OSError()))
    world.target().guard(world.function(1))()
    assert events == []
