"""Guards in their process: what they read, when they write, the invocation, the façade, helpers for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import flyball
from flyball.contract import DEFAULT_PARAMS, CircuitState, Document, RetryParams
from flyball.environment import Runtime
from flyball.errors import CircuitOpenError, DeadlineExceeded, SettingsError
from flyball.extent import invocation
from flyball.guard import configure, runtime, target
from flyball.sources import StaticDocuments
from flyball.testing import force_closed, force_open, no_sleep
from unit.client.support import ManualClock, ScriptedReads, World, circuit


def test_a_published_document_reaches_every_target_and_also_later_ones():
    """One read serves all; a target declared after it starts with it."""
    single = DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=1))
    double = DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=2))
    world = World(documents=StaticDocuments(Document(1, "", "", {"t": single}, defaults=double)))
    other = target("other", within=world.runtime)
    world.target().guard(world.function(1))()
    assert (world.runtime.targets["t"].max_attempts, other.target.max_attempts) == (1, 2)
    assert target("late", within=world.runtime).target.max_attempts == 2


def test_sources_are_read_once_per_age_and_not_per_call():
    """K5, K1: documents each 10 s, circuits each 5 s, a tenth later at most."""
    documents, circuits = ScriptedReads(None), ScriptedReads(())
    world = World(documents=documents, circuits=circuits)
    guarded = world.target().guard(world.function(*[1] * 100, took_s=0.11))
    for _ in range(100):  # 11 s
        guarded()
    assert (documents.reads, circuits.reads) == (2, 3)


def test_a_new_target_is_looked_up_at_once_and_all_in_one_read():
    """It must not run unprotected until the next interval; and many targets must not cost many reads."""
    circuits = ScriptedReads(
        [circuit(CircuitState.FORCED_OPEN, target="u"), circuit(CircuitState.OPEN, target="x")]
    )
    world = World(circuits=circuits)
    world.target().guard(world.function(1))()
    late = target("u", within=world.runtime).guard(world.function())
    with pytest.raises(CircuitOpenError):
        late()
    assert circuits.reads == 2


def test_everything_down_for_ever_changes_nothing_for_the_function():
    """O5: as without the library; one read per back-off interval."""
    broken = ScriptedReads(OSError("down"))
    world = World(documents=broken, circuits=broken)
    guarded = world.target().guard(world.function(*range(1_000), took_s=0.1))
    assert [guarded() for _ in range(1_000)] == list(range(1_000))  # 100 s
    assert broken.reads <= 2 * 7, "at 0, 1, 3, 7, 15, 31, 63 s for either source"
    assert world.counters.short_circuited == 0


def test_metrics_are_written_during_a_long_invocation():
    """Every 10 s, with the call that comes next."""
    world = World()
    guarded = world.target().guard(world.function(1, 2, 3, took_s=6.0))
    for _ in range(3):
        guarded()
    assert len(world.lines) == 1


class Context:
    """Lambda's context, as far as it matters here."""

    def __init__(self, remaining_ms: int) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def test_an_invocation_sets_the_deadline_and_writes_the_metrics():
    """50 ms of the remaining time are kept for the answer."""
    world = World()
    guarded = world.target().guard(world.function(1))
    with invocation(Context(2_000), within=world.runtime):
        assert world.runtime.deadline_s == 1_000.0 + 2.0 - 0.05
        guarded()
        assert world.lines == []
    assert world.runtime.deadline_s is None
    assert len(world.lines) == 1


def test_no_time_left_is_not_no_deadline():
    """Remaining time 0 is a value."""
    world = World()
    guarded = world.target().guard(world.function())
    with invocation(Context(0), within=world.runtime), pytest.raises(DeadlineExceeded):
        guarded()
    assert world.calls == []


def test_a_closed_stdout_does_not_fail_the_invocation():
    """Metrics report on the function; they must not break it."""

    def closed(line: str) -> None:
        raise BrokenPipeError

    shared = Runtime(clock=ManualClock(), write=closed)
    guarded = target("t", within=shared).guard(lambda: "fine")
    with invocation(Context(2_000), within=shared):
        assert guarded() == "fine"


@pytest.mark.parametrize("name", ["", "a\nb", "é", "x" * 256, "a\n"])
def test_a_name_that_cannot_be_a_dimension_is_refused(name):
    """At declaration, not in a metric that silently vanishes."""
    with pytest.raises(SettingsError) as caught:
        target(name, within=World().runtime)
    assert caught.value.field == "name"


@pytest.fixture
def process() -> Iterator[World]:
    """A process-wide runtime of our own, and the old one back."""
    world = World(function="pay")
    before = configure(world.runtime)
    yield world
    configure(before)


def test_the_facade_uses_the_processs_runtime(process):
    """What the README shows."""
    payments = flyball.target("t")

    @payments.guard
    def charge(amount: int) -> int:
        return amount

    @flyball.handler
    def handle(event: dict[str, int], context: Context) -> int:
        assert flyball.runtime().deadline_s is not None
        return charge(event["amount"])

    assert handle({"amount": 3}, Context(1_000)) == 3
    assert len(process.lines) == 1
    assert flyball.flush() == 0


def test_forcing_is_undone_even_if_the_block_fails(process):
    """A test helper must not leak into the next test."""
    guarded = flyball.target("t").guard(process.function(1, 2))
    with pytest.raises(CircuitOpenError), force_open("t"):
        guarded()
    with force_open("t"), force_closed("t"):
        assert guarded() == 1
    assert guarded() == 2


def test_skipped_waits_are_shown_and_sleeping_comes_back(process):
    """no_sleep is for tests of retry behaviour."""
    guarded = flyball.target("t", idempotent=True).guard(
        process.function(TimeoutError(), 1, TimeoutError(), 2)
    )
    with no_sleep() as waits:
        guarded()
    assert (waits, process.clock.sleeps) == ([0.05], [])
    flyball.target("t").target.apply_params(DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0)), 1)
    guarded()
    assert process.clock.sleeps == [0.05]


def test_without_configuration_a_runtime_is_made_from_the_environment(monkeypatch):
    """First use, not import."""
    before = configure(None)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "pay")
    try:
        assert runtime().function == "pay"
        assert runtime() is runtime()
    finally:
        configure(before)
