"""Sources and their cache: fresh by two clocks, one reader, backing off, never going back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.agent import AgentDocuments
from flyball.contract import (
    DEFAULT_PARAMS,
    DOCUMENT_BYTES_MAX,
    CircuitState,
    ContractError,
    Document,
    encode_document,
)
from flyball.errors import SourceError
from flyball.sources import (
    Cached,
    EnvironmentDocuments,
    FileDocuments,
    StaticCircuits,
    StaticDocuments,
    cached_document,
)
from unit.client.support import ManualClock, ScriptedReads, circuit

DOWN = SourceError("down", source="test")
BAD = ContractError("bad", field="", value=None)


def document(revision: int) -> Document:
    return Document(revision, "", "", {"t": DEFAULT_PARAMS})


def refresh(cache: Cached, clock: ManualClock, draw: float = 0.0) -> bool:
    return cache.refresh(clock.wall_s(), clock.monotonic_s(), draw)


def due(cache: Cached, clock: ManualClock) -> bool:
    return cache.due(clock.wall_s(), clock.monotonic_s())


def test_never_loaded_is_none_and_due():
    """K6: a zero would be "fresh" on a monotonic clock that has just started."""
    cache = Cached(ScriptedReads(1).read, max_age_s=5.0)
    assert cache.value is None
    assert cache.due(0.0, 0.0)


def test_a_value_is_read_once_per_age():
    """K5: at any call rate."""
    clock, source = ManualClock(), ScriptedReads(1)
    cache = Cached(source.read, max_age_s=5.0)
    assert refresh(cache, clock)
    for _ in range(1_000):
        refresh(cache, clock)
    assert source.reads == 1
    clock.pass_s(4.99)
    assert not due(cache, clock)
    clock.pass_s(0.01)
    assert due(cache, clock)


def test_environments_that_started_together_do_not_read_together():
    """A tenth later at the highest draw."""
    clock, cache = ManualClock(), Cached(ScriptedReads(1).read, max_age_s=5.0)
    refresh(cache, clock, draw=0.5)
    clock.pass_s(5.2)
    assert not due(cache, clock)
    clock.pass_s(0.1)
    assert due(cache, clock)


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s"),
    [
        (1_006.0, 50.0),  # frozen: only wall time went on
        (1_000.0, 56.0),  # wall time was set back a little while time went on
        (999.0, 50.0),  # set back
        (1e9, 1e9),
        (float("nan"), 50.0),
    ],
)
def test_freshness_needs_both_clocks(wall_s, monotonic_s):
    """K6: read at (1,000, 50) with an age of 5 s; any disagreement means read again."""
    clock, cache = ManualClock(), Cached(ScriptedReads(1).read, max_age_s=5.0)
    refresh(cache, clock)
    assert cache.due(wall_s, monotonic_s)
    assert not cache.due(1_004.9, 54.9)


@given(
    read_at=st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)),
    asked_at=st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)),
)
def test_what_is_fresh_is_young_on_either_clock(read_at, asked_at):
    """K6 as a law."""
    cache = Cached(ScriptedReads(1).read, max_age_s=5.0)
    cache.refresh(*read_at, 0.0)
    fresh = not cache.due(*asked_at)
    assert fresh == (0.0 <= asked_at[0] - read_at[0] < 5.0 and asked_at[1] - read_at[1] < 5.0)


def test_a_store_that_is_down_costs_one_read_per_growing_pause():
    """K3: pauses of 1, 2, 4 s ..., and the last good value stays."""
    clock, source = ManualClock(), ScriptedReads("good", DOWN)
    cache = Cached(source.read, max_age_s=5.0)
    refresh(cache, clock)
    clock.pass_s(5.0)
    reads_at = []
    for tenth in range(200):
        if due(cache, clock):
            refresh(cache, clock)
            reads_at.append(tenth / 10)
        clock.pass_s(0.1)
    assert reads_at == pytest.approx([0.0, 1.0, 3.0, 7.0, 15.0], abs=0.11)
    assert (cache.value, cache.failed) == ("good", 5)


def test_the_pause_ends_with_the_outage():
    """After a good read the usual age counts, and the next outage begins with the short pause."""
    clock, source = ManualClock(), ScriptedReads(DOWN, DOWN, "good", DOWN, "good")
    cache = Cached(source.read, max_age_s=5.0)
    for pause_s in (0.0, 1.0, 2.0, 5.0, 1.0):
        clock.pass_s(pause_s)
        assert due(cache, clock)
        refresh(cache, clock)
    assert source.reads == 5


def test_a_source_with_a_bug_fails_no_call():
    """O5: sources advise; a KeyError of theirs is an outage of theirs."""
    cache = Cached(ScriptedReads(KeyError("bug")).read, max_age_s=5.0)
    assert not cache.refresh(0.0, 0.0, 0.0)
    assert cache.failed == 1


def test_an_interrupted_read_leaves_the_cache_usable():
    """K7's sibling: KeyboardInterrupt passes through and the door is not locked for ever."""
    clock, source = ManualClock(), ScriptedReads(KeyboardInterrupt(), "good")
    cache = Cached(source.read, max_age_s=5.0)
    with pytest.raises(KeyboardInterrupt):
        refresh(cache, clock)
    clock.pass_s(1.0)
    assert refresh(cache, clock)


def test_a_bad_document_keeps_the_last_good_and_the_polling():
    """A3: at the usual pace, because the store is well."""
    clock, source = ManualClock(), ScriptedReads(document(1), BAD, None, document(2))
    cache = cached_document(source, max_age_s=5.0)
    revisions = []
    for _ in range(4):
        refresh(cache, clock)
        revisions.append(cache.value.revision)
        clock.pass_s(5.0)
    assert revisions == [1, 1, 1, 2]
    assert (cache.bad, cache.failed, source.reads) == (1, 0, 4)


@given(revisions=st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_the_document_seen_never_goes_back(revisions):
    """K2 over arbitrary orders of stale answers."""
    clock = ManualClock()
    cache = cached_document(ScriptedReads(*map(document, revisions)), max_age_s=5.0)
    newest = -1
    for revision in revisions:
        refresh(cache, clock)
        newest = max(newest, revision)
        assert cache.value.revision == newest
        clock.pass_s(5.0)


def test_only_one_reads_while_others_go_on_with_what_they_have():
    """K5: 20 threads at one expiry, one read; nobody waits for it."""
    entered, leave, reads = threading.Event(), threading.Event(), []

    def slow() -> str:
        reads.append(1)
        entered.set()
        assert leave.wait(5.0)
        return "new"

    cache = Cached(slow, max_age_s=5.0)
    first = threading.Thread(target=cache.refresh, args=(0.0, 0.0, 0.0))
    first.start()
    assert entered.wait(5.0)
    assert [cache.refresh(0.0, 0.0, 0.0) for _ in range(20)] == [False] * 20
    leave.set()
    first.join(5.0)
    assert not cache.refresh(0.0, 0.0, 0.0), "who comes just after finds it fresh"
    assert (cache.value, len(reads)) == ("new", 1)


def test_static_sources_answer_what_they_were_given():
    """For tests and for settings that never change."""
    open_, other, own = (
        circuit(CircuitState.OPEN),
        circuit(CircuitState.OPEN, target="u"),
        circuit(CircuitState.OPEN, function="pay"),
    )
    assert StaticDocuments(document(1)).read() == document(1)
    source = StaticCircuits([open_, other, own])
    assert list(source.read(["t"], "pay")) == [open_, own]
    assert list(source.read(["t"], "else")) == [open_]
    assert list(source.read("tu", "else")) == [], "a name, not its letters"


def test_a_file_is_a_source(tmp_path):
    """As in the Agent's local development mode."""
    path = tmp_path / "document.json"
    with pytest.raises(SourceError) as caught:
        FileDocuments(str(path)).read()
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    path.write_bytes(b"")
    assert FileDocuments(str(path)).read() is None
    path.write_bytes(encode_document(document(3)))
    assert FileDocuments(str(path)).read() == document(3)
    path.write_bytes(b" " * (DOCUMENT_BYTES_MAX + 5))
    with pytest.raises(ContractError):
        FileDocuments(str(path)).read()


def test_an_environment_variable_is_a_source(monkeypatch):
    """Settings that ship with the function."""
    monkeypatch.delenv("FLYBALL_DOCUMENT", raising=False)
    assert EnvironmentDocuments().read() is None
    monkeypatch.setenv("FLYBALL_DOCUMENT", encode_document(document(4)).decode())
    assert EnvironmentDocuments().read() == document(4)
    monkeypatch.setenv("FLYBALL_DOCUMENT", "{")
    with pytest.raises(ContractError):
        EnvironmentDocuments().read()


class Agent(BaseHTTPRequestHandler):
    """The Agent's face: one configuration, and what it is asked for."""

    answer: tuple[int, bytes] = (200, b"")
    paths: list[str]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def agent() -> Iterator[tuple[type[Agent], AgentDocuments]]:
    face = type("Face", (Agent,), {"paths": []})
    server = HTTPServer(("127.0.0.1", 0), face)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield face, AgentDocuments("app", "prod", "fly ball/1", host="127.0.0.1", port=server.server_port)
    server.shutdown()
    thread.join(5.0)
    server.server_close()


def test_the_agent_is_asked_by_its_path(agent):
    """applications/environments/configurations, each name quoted."""
    face, source = agent
    face.answer = (200, encode_document(document(5)))
    assert source.read() == document(5)
    assert face.paths == ["/applications/app/environments/prod/configurations/fly%20ball%2F1"]


@pytest.mark.parametrize("answer", [(200, b""), (204, b"")])
def test_an_empty_answer_is_no_news(agent, answer):
    """Nothing deployed yet, or unchanged: not an error, and not an empty document."""
    face, source = agent
    face.answer = answer
    assert source.read() is None


def test_an_error_of_the_agent_is_an_outage_of_the_source(agent):
    """404 for a wrong name, 500 for no permission: both leave the client at its last good."""
    face, source = agent
    face.answer = (404, json.dumps({"Message": "no"}).encode())
    with pytest.raises(SourceError, match="404"):
        source.read()


def test_an_oversized_answer_is_refused_without_being_read_whole(agent):
    """The consumer checks the size itself."""
    face, source = agent
    face.answer = (200, b"x" * (DOCUMENT_BYTES_MAX + 10_000))
    with pytest.raises(ContractError):
        source.read()


def test_an_absent_agent_is_an_outage_of_the_source():
    """The extension is not installed: the cause is chained for whoever looks."""
    with pytest.raises(SourceError) as caught:
        AgentDocuments("a", "e", "c", host="127.0.0.1", port=1, timeout_s=0.2).read()
    assert isinstance(caught.value.__cause__, OSError)
