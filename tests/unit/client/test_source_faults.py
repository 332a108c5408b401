"""Sources that drip, repeat themselves, are half wrong, or never answer: bounded in time, and said once."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from flyball import document as documents
from flyball import faults
from flyball.agent import AgentDocuments, agent_port
from flyball.aws import DynamoCircuits
from flyball.contract import CircuitState, Document, decode_document, encode_circuit, encode_document
from flyball.environment import from_environment
from flyball.errors import CircuitOpenError, ContractError, FlyballWarning, SourceError
from flyball.sources import UNREAD, EnvironmentDocuments, FileDocuments
from flyball.testing import force_open
from unit.client.support import PaymentError, ScriptedReads, World, circuit
from unit.client.test_aws import Table


class Dripping(BaseHTTPRequestHandler):
    """An Agent that sends a piece now and then, each in time."""

    done: threading.Event

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.done.wait(0.02):
            try:
                self.wfile.write(b" ")
            except OSError:  # nobody listens any more
                return

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def dripping() -> Iterator[int]:
    face = type("Face", (Dripping,), {"done": threading.Event()})
    server = HTTPServer(("127.0.0.1", 0), face)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    face.done.set()
    server.shutdown()
    thread.join(5.0)
    server.server_close()


def test_an_agent_that_drips_is_given_up(dripping):
    """Each piece comes in time, and the answer never ends: the call that reads would wait for ever."""
    source = AgentDocuments("a", "e", "c", host="127.0.0.1", port=dripping, timeout_s=0.1)
    with pytest.raises(SourceError, match="and more to come"):
        source.read()


def test_the_agents_own_variable_says_where_it_listens():
    """Else an Agent on another port is one that does not answer, for ever and in silence."""
    assert (agent_port({}), agent_port({"AWS_APPCONFIG_EXTENSION_HTTP_PORT": "2800"})) == (2772, 2800)
    shared = from_environment({"FLYBALL_AGENT": "a/e/c", "AWS_APPCONFIG_EXTENSION_HTTP_PORT": "2800"})
    assert shared._document._source._port == 2800


def test_a_document_that_has_not_changed_is_not_decoded_again(tmp_path, monkeypatch):
    """64 KiB cost milliseconds, and on a small function many: the call that reads waits for them."""
    decoded: list[bytes] = []
    first, second = (encode_document(Document(revision, "", "", {})) for revision in (1, 2))

    def counting(data: bytes) -> Document:
        decoded.append(data)
        return decode_document(data)

    monkeypatch.setattr(documents, "decode_document", counting)
    path = tmp_path / "document.json"
    source = FileDocuments(str(path))
    revisions = []
    for data in (first, first, b"{", second, first):
        path.write_bytes(data)
        try:
            revisions.append(source.read().revision)
        except ContractError:
            revisions.append(None)
    assert revisions == [1, 1, None, 2, 1]
    assert decoded == [first, b"{", second, first]
    monkeypatch.setenv("FLYBALL_DOCUMENT", first.decode())
    variable = EnvironmentDocuments()
    assert variable.read() is variable.read()


def test_a_repeated_key_is_named_whichever_it_is():
    """Found in one pass: among thousands of keys, comparing each with each took a quarter of a second."""
    for text, twice in (
        ('{"a":0,"b":0,"a":0}', "'a'"),
        ('{"b":0,"a":0,"a":0}', "'a'"),
        ('{"a":0,"a":0}', "'a'"),
    ):
        with pytest.raises(ContractError, match=f"key {twice} stands twice") as caught:
            decode_document(text.encode())
        assert caught.value.field == "a"


def test_a_circuit_that_nobody_understands_is_said_though_another_is_fine():
    """A kill switch written by hand, with a typing error, beside the circuits that the controller writes."""
    typo = {**encode_circuit(circuit(CircuitState.FORCED_CLOSED)), "state": {"S": "forced_close"}}
    table = Table(typo, encode_circuit(circuit(CircuitState.CLOSED)))
    world = World(circuits=DynamoCircuits(table="circuits", client=table))
    guarded = world.target().guard(lambda: "fine")
    with pytest.warns(FlyballWarning, match="a circuit was published that cannot be obeyed.*forced_close"):
        assert guarded() == "fine"
    table.items = table.items[1:]
    world.clock.pass_s(60.0)
    guarded()
    assert world.runtime._circuits.refused is None


@pytest.mark.parametrize(("kind", "what"), [("documents", "document"), ("circuits", "circuit")])
def test_a_source_that_never_answers_is_said_once(kind, what):
    """A wrong name or a missing permission: else nothing published is ever obeyed, and nobody knows."""
    world = World(**{kind: ScriptedReads(SourceError("AccessDenied", source="x"))})
    guarded = world.target().guard(lambda: "fine")
    with pytest.warns(
        FlyballWarning, match=f"no {what} could be read so far.*AccessDenied.*permission"
    ) as said:
        answers = [(guarded(), world.clock.pass_s(100.0))[0] for _ in range(UNREAD + 5)]
    assert (answers, len(said)) == (["fine"] * (UNREAD + 5), 1)


def test_an_outage_of_a_source_that_has_answered_is_not_said():
    """What was read holds, and the store comes back; nobody is woken for that."""
    world = World(documents=ScriptedReads(None, OSError("down")))
    guarded = world.target().guard(lambda: "fine")
    with warnings.catch_warnings(record=True) as said:
        for _ in range(UNREAD + 5):
            guarded()
            world.clock.pass_s(100.0)
    assert (said, world.runtime._document.unread) == ([], "")


def test_a_source_that_answers_at_last_is_well():
    """It was slow to start."""
    world = World(documents=ScriptedReads(*[OSError("down")] * UNREAD, None))
    guarded = world.target().guard(lambda: "fine")
    for _ in range(UNREAD):
        guarded()
        world.clock.pass_s(100.0)
    assert world.runtime._document.unread == "OSError: down"
    guarded()
    assert world.runtime._document.unread == ""


class Payload:
    """Somebody's data, whose end can be seen."""


def test_an_error_of_a_hook_does_not_keep_the_call_alive_in_which_it_came():
    """Its traceback held every frame around it, with the arguments of the call, until the next error."""

    def broken(event: object) -> None:
        raise RuntimeError("dashboard down")

    world = World(hooks=broken)
    guarded = world.target().guard(world.function(PaymentError(), "fine"))
    payload = Payload()
    seen = weakref.ref(payload)
    assert guarded(payload) == "fine"  # and its retry was told
    world.calls.clear()
    del payload
    gc.collect()
    assert isinstance(world.runtime.hooks.last_error, RuntimeError)
    assert seen() is None


def test_a_copy_reports_no_faults_of_the_original_and_needs_not_its_lock():
    """Forked by another thread while an attempt met its fault."""
    world = World()
    guarded = world.target().guard(lambda: "fine")
    with faults.inject("t", latency_s=0.1, within=world.runtime) as injection:
        guarded()
        shared = world.runtime
        with shared.faults._lock:
            shared.renew()
            guarded()
    shared.flush()
    assert injection.count == 2
    injected = [line for line in world.lines if "faults_injected" in line]
    assert len(injected) == 1
    assert '"faults_injected":1' in injected[0]


def test_hooks_that_make_calls_of_their_own_come_to_an_end():
    """Two that report to a target which is open: each refusal is an event for both, and so on for ever."""
    told: list[str] = []
    world = World(hooks=[lambda event: report("a"), lambda event: report("b")])
    guarded = world.target().guard(lambda: "fine")

    def report(name: str) -> None:
        told.append(name)
        guarded()

    with force_open("t", within=world.runtime):
        with pytest.raises(CircuitOpenError):
            guarded()
        once = len(told)
        with pytest.raises(CircuitOpenError):
            guarded()
    assert (once, len(told) - once) == (12, 6)  # the change of state and the refusal; the refusal
