"""The adapters tell hooks what a guard tells them, and notice retries that are stacked on others."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import stamina
import tenacity
from botocore.exceptions import ClientError as BotoError

import flyball
from flyball.contract import CircuitState, Document
from flyball.errors import CircuitOpenError
from flyball.hooks import CallRejected, CircuitChanged, ParamsApplied, RetryScheduled, StackedRetries
from flyball.interop import stamina as ours_for_stamina
from flyball.interop import tenacity as ours_for_tenacity
from flyball.interop.botocore import obey
from flyball.interop.powertools import live_config
from flyball.outcome import Outcome, RejectReason
from flyball_local.loopback import LoopbackServer
from unit.client.boto_world import DOWN as SERVER_DOWN
from unit.client.boto_world import GENEROUS, BotoWorld, Server, client
from unit.client.support import PaymentError, ScriptedReads, World, circuit

DOWN = PaymentError("down")


class SdkError(PaymentError):
    """In the shape of botocore's, after four repetitions by the SDK."""

    def __init__(self) -> None:
        super().__init__("unavailable")
        self.response = {
            "Error": {"Code": "ServiceUnavailable"},
            "ResponseMetadata": {"RetryAttempts": 4, "HTTPStatusCode": 503},
        }


class NotThereError(Exception):
    """The caller's own fault, and four repetitions by the SDK all the same."""

    response = {"ResponseMetadata": {"RetryAttempts": 4, "HTTPStatusCode": 404}}  # noqa: RUF012


class HeardWorld(World):
    """A target with budget to spare, whose hooks are listened to."""

    def __init__(self, **kwargs: Any) -> None:
        self.events: list[Any] = []
        super().__init__(hooks=self.events.append, **kwargs)
        self.handle = self.target()
        self.handle.target.apply_params(GENEROUS, 1)

    def heard(self, *kinds: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda seconds: None))
    stamina.instrumentation.set_on_retry_hooks(())
    yield
    stamina.instrumentation.set_on_retry_hooks(None)


def by_tenacity(world: HeardWorld, function: Any) -> Any:
    """All pieces: the call is heard from begin to end."""
    return tenacity.retry(**ours_for_tenacity.obey(world.handle), reraise=True)(function)


def by_tenacity_pieces(world: HeardWorld, function: Any) -> Any:
    """Without `retry_if`: successes are not heard, so nothing may be counted."""
    pieces = {"stop": ours_for_tenacity.stop(world.handle), "wait": ours_for_tenacity.wait(world.handle)}
    return tenacity.retry(**pieces, reraise=True)(function)


def by_own_predicate(world: HeardWorld, function: Any) -> Any:
    """What is repeated is said by the user's own predicate, against the classification."""
    pieces = ours_for_tenacity.obey(world.handle, retry=tenacity.retry_if_exception_type(Exception))
    return tenacity.retry(**pieces, reraise=True)(function)


def by_stamina(world: HeardWorld, function: Any) -> Any:
    return ours_for_stamina.retry(world.handle)(function)


def by_stamina_hook(world: HeardWorld, function: Any) -> Any:
    """`on=` alone, which knows neither the call nor a success."""
    return stamina.retry(on=ours_for_stamina.on(world.handle), attempts=2, timeout=None)(function)


SHELLS = [by_tenacity, by_tenacity_pieces, by_own_predicate, by_stamina, by_stamina_hook]
EVERY = pytest.mark.parametrize("shell", SHELLS)
GATED = pytest.mark.parametrize("shell", [by_tenacity, by_own_predicate, by_stamina])


@EVERY
def test_a_retry_is_told_with_its_wait(shell):
    """Half of 100 ms at a draw of one half, as a guard's."""
    world = HeardWorld()
    assert shell(world, world.function(DOWN, "fine"))() == "fine"
    assert world.heard(RetryScheduled) == [RetryScheduled("t", Outcome.ERROR_FAST, 1, 0.05)]


@GATED
def test_a_refusal_is_told(shell):
    """By those that ask before the call; the others are told of nothing that they did not ask."""
    world = HeardWorld()
    world.handle.target.hold(CircuitState.FORCED_OPEN)
    with pytest.raises(CircuitOpenError):
        shell(world, world.function("never"))()
    (rejected,) = world.heard(CallRejected)
    assert rejected.reason == RejectReason.CIRCUIT_OPEN
    assert [event.after for event in world.heard(CircuitChanged)] == [CircuitState.FORCED_OPEN]


@EVERY
def test_retries_of_the_sdk_beneath_are_noticed(shell):
    """Once as a warning, each time as an event; as beneath a guard."""
    world = HeardWorld()
    with pytest.warns(flyball.FlyballWarning, match="repeated a request to 't' 4 times"):
        assert shell(world, world.function(SdkError(), "fine"))() == "fine"
    assert world.heard(StackedRetries) == [StackedRetries("t", 4)]


@EVERY
def test_retries_of_the_sdk_alone_are_fine(shell):
    """What is not repeatable is not repeated by us: there is one loop."""
    world = HeardWorld()
    world.handle.idempotent = False
    with pytest.raises(SdkError):
        shell(world, world.function(SdkError()))()
    assert world.heard(StackedRetries, RetryScheduled) == []


def test_the_users_own_predicate_is_noticed_as_well():
    """It repeats what the target's declarations would not: 404 after four repetitions by the SDK."""
    world = HeardWorld()
    error = NotThereError("no such thing")
    with pytest.warns(flyball.FlyballWarning, match="4 times"):
        assert by_own_predicate(world, world.function(error, "fine"))() == "fine"
    assert world.heard(StackedRetries) == [StackedRetries("t", 4)]


def test_what_powertools_reads_is_told_when_it_is_obeyed():
    """Its thresholds follow a document, its hooks hear of it; and of a circuit that was published."""
    published = Document(7, "", "", {"t": GENEROUS})
    events: list[Any] = []
    world = World(
        hooks=events.append,
        documents=ScriptedReads(published),
        circuits=ScriptedReads([circuit(CircuitState.OPEN)]),
    )
    assert live_config(world.target()).success_threshold == 3
    kinds = [type(event) for event in events]
    assert kinds == [ParamsApplied, CircuitChanged]
    assert events[1].after == CircuitState.OPEN


# --- an SDK client ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    with LoopbackServer(server.respond) as loopback:
        server.url = loopback.url
        yield server


def test_an_obeying_client_tells_its_retries_and_refusals(server: Server):
    """Three waits of a ladder of four, then an operator's hold."""
    events: list[Any] = []
    world = BotoWorld(hooks=events.append)
    server.script = [SERVER_DOWN]
    with obey(client(server), world.handle):
        with pytest.raises(BotoError):
            client(server).list_tables()
        world.handle.target.hold(CircuitState.FORCED_OPEN)
        with pytest.raises(CircuitOpenError):
            client(server).list_tables()
    retries = [event for event in events if isinstance(event, RetryScheduled)]
    assert [(event.attempt, event.wait_s) for event in retries] == [(1, 0.05), (2, 0.1), (3, 0.2)]
    assert [event.reason for event in events if isinstance(event, CallRejected)] == [
        RejectReason.CIRCUIT_OPEN
    ]


def test_a_guard_around_an_obeying_client_is_two_loops(server: Server):
    """4 x 4 requests: the outer one sees the inner one's repetitions in the answer."""
    world = BotoWorld()
    server.script = [SERVER_DOWN]
    with obey(client(server), world.handle):
        guarded = world.handle.guard(lambda: client(server).list_tables())
        with (
            pytest.warns(flyball.FlyballWarning, match="3 times within one attempt"),
            pytest.raises(BotoError),
        ):
            guarded()


# --- decorated twice --------------------------------------------------------------------


@pytest.mark.parametrize("library", ["stamina", "tenacity"])
def test_a_guard_around_a_decorated_function_is_noticed_when_it_is_made(library):
    """Nothing in a result tells of it later."""
    world = World()

    def ask() -> None: ...

    inner = stamina.retry(on=OSError)(ask) if library == "stamina" else tenacity.retry(ask)
    with pytest.warns(flyball.FlyballWarning, match=rf"ask is repeated by {library} already") as said:
        world.target().guard(inner)
    assert said[0].filename == __file__
    world.target().guard(inner)  # said once


def test_a_guard_that_repeats_nothing_may_be_around_it():
    """There is one loop, theirs."""
    World().target(idempotent=False).guard(tenacity.retry(lambda: None))
