"""Copies of a process, by fork and from a snapshot: nothing is had twice, nothing old is taken for new."""

from __future__ import annotations

import copy
import gc
import os
import random
import sys
import threading
import warnings
from types import SimpleNamespace

import pytest
import snapshot_restore_py

from flyball import copies
from flyball.call import Call, Outcome, Rejected, Target
from flyball.clock import SystemClock
from flyball.contract import DEFAULT_PARAMS, BulkheadParams, CircuitState, RetryParams
from flyball.environment import Runtime
from flyball.guard import target
from flyball.testing import no_sleep
from unit.client.support import ManualClock, ScriptedReads, World, circuit


def in_child(work) -> bytes:
    """What `work` returns in a forked child, as bytes."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks among threads: that they are survived is what is shown here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        answer = answers.read()
    assert os.waitpid(child, 0)[1] == 0
    return answer


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def first_wait(shared: Runtime, handle) -> bytes:
    """The jitter of the first retry, as text."""
    answers: list[object] = [TimeoutError(), None]

    @handle.guard
    def flaky() -> None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer

    with no_sleep(within=shared) as waits:
        flaky()
    return repr(waits).encode()


@forks
def test_two_forks_do_not_draw_the_same_jitter():
    """All clones of one snapshot share every byte of memory: whatever is seeded there, is equal."""
    shared = Runtime(write=lambda line: None)
    handle = target("t", within=shared, idempotent=True)
    waits = {in_child(lambda: first_wait(shared, handle)) for _ in range(4)}
    assert len(waits) == 4


@forks
def test_the_check_above_sees_a_generator_in_memory():
    """A check that cannot fail proves nothing: seeded before the fork, all children wait alike."""

    class Seeded(SystemClock):
        generator = random.Random(7)

        def draw(self) -> float:
            return self.generator.random()

    shared = Runtime(clock=Seeded(), write=lambda line: None)
    handle = target("t", within=shared, idempotent=True)
    waits = {in_child(lambda: first_wait(shared, handle)) for _ in range(4)}
    assert len(waits) == 1


@forks
def test_a_fork_reports_nothing_of_its_parent_and_reads_anew():
    """Else every worker would write the parent's counts once more."""
    source = ScriptedReads(None)
    lines: list[str] = []
    shared = Runtime(documents=source, write=lines.append)
    guarded = target("t", within=shared).guard(lambda: 1)
    guarded()
    assert source.reads == 1

    def work() -> bytes:
        flushed = shared.flush()
        guarded()
        return f"{flushed} {source.reads}".encode()

    assert in_child(work) == b"0 2"
    assert shared.flush() == 1


@forks
def test_a_fork_while_a_thread_holds_the_locks_can_still_read_and_trip():
    """The thread that would have released them does not exist in the child."""
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        reads = 0

        def read(self) -> None:
            self.reads += 1
            if self.reads == 1:
                entered.set()
                leave.wait(10.0)

    source = Slow()
    shared = Runtime(documents=source, write=lambda line: None)
    handle = target("t", within=shared)
    thread = threading.Thread(target=handle.guard(lambda: None))
    thread.start()
    assert entered.wait(10.0)
    lock = handle.target._lock

    def hold() -> None:
        with lock:
            entered.set()
            leave.wait(10.0)

    entered.clear()
    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(10.0)

    def work() -> bytes:
        for _ in range(12):
            handle.acquire().failure(Outcome.ERROR_FAST)
        return f"{source.reads} {handle.target.state(shared.clock.wall_s()).name}".encode()

    try:
        assert in_child(work) == b"2 OPEN"
    finally:
        leave.set()
        thread.join()
        holder.join()


def generous() -> Target:
    return Target("t", params=DEFAULT_PARAMS._replace(bulkhead=BulkheadParams(max_concurrent=1)))


def test_a_copy_begins_with_a_beginners_credit_at_most():
    """A thousand restored environments would else bring a thousand full buckets into a storm."""
    target = generous()
    for _ in range(100):
        target.begin(0.0, 0.0).finish(Outcome.SUCCESS, now_s=0.0, draw=0.0, latency_ms=1.0)
    assert target.budget_tokens == 3.0
    target.renew()
    assert target.budget_tokens == 1.0
    call = target.begin(0.0, 0.0, idempotent=True)
    assert call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.5, latency_ms=1.0) == 0.05
    target.renew()
    assert target.budget_tokens < 1.0, "what was spent stays spent"


def test_a_copy_holds_no_call_of_the_original():
    """Its calls end there, and their ends are no news here."""
    target = generous()
    target.apply_circuit(circuit(CircuitState.HALF_OPEN, probe_ratio=1.0, close_after=1))
    original = target.begin(1_000.0, 0.0)
    assert isinstance(target.begin(1_000.0, 0.0), Rejected)
    target.renew()
    probe = target.begin(1_000.0, 0.0)
    assert isinstance(probe, Call)
    original.finish(Outcome.SUCCESS, now_s=1_000.0, draw=0.0, latency_ms=1.0)
    assert target.state(1_000.0) == CircuitState.HALF_OPEN
    assert isinstance(target.begin(1_000.0, 0.0), Rejected), "the probe's own place is still taken"
    probe.finish(Outcome.SUCCESS, now_s=1_000.0, draw=0.0, latency_ms=1.0)
    assert target.state(1_000.0) == CircuitState.CLOSED


def test_a_copy_keeps_what_was_learned_and_is_cold():
    """The target is as dead here as there; connections are to be opened again."""
    target = Target("t")
    for _ in range(12):
        target.begin(0.0, 0.0).finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.0, latency_ms=1.0)
    target.renew()
    assert target.state(1.0) == CircuitState.OPEN
    assert target.counters.empty
    target.hold(CircuitState.FORCED_CLOSED)
    assert target.begin(1.0, 0.0).timeout_s(1.0) == 3.0


def test_a_restored_runtime_reads_before_it_trusts():
    """Both clocks may agree that no time has passed: the snapshot was taken a week ago all the same."""
    documents, circuits = ScriptedReads(None), ScriptedReads(())
    world = World(documents=documents, circuits=circuits)
    guarded = world.target().guard(world.function(*range(3), took_s=0.0))
    guarded()
    guarded()
    assert (documents.reads, circuits.reads) == (1, 1)
    world.runtime.renew()
    guarded()
    assert (documents.reads, circuits.reads) == (2, 2)
    Runtime().renew()  # without sources there is nothing to read


def test_a_restored_runtime_that_knows_nothing_begins_to_refuse_again():
    """Five minutes of the snapshot's life are not five minutes of this one's."""
    world = World()
    handle = world.target(when_unknown="open")
    world.clock.pass_s(86_400.0)
    world.runtime.renew()
    assert handle.target.state(world.clock.wall_s()) == CircuitState.OPEN
    world.runtime._document = SimpleNamespace(value=object(), renew=lambda: None)
    handle.target.see()
    world.runtime.renew()
    assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED


def test_two_restored_clones_share_nothing_that_could_synchronise_them():
    """Simulated: two copies of one environment, each on the kernel's randomness, fail in the same instant."""
    original = Target("t", params=DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0)))
    draw = SystemClock().draw
    waits = []
    for _ in range(2):
        clone = Target("t", params=copy.deepcopy(original.params))
        clone.renew()
        call = clone.begin(0.0, draw(), idempotent=True)
        waits.append([call.finish(Outcome.TIMEOUT, now_s=0.0, draw=draw(), latency_ms=1.0) for _ in range(3)])
    assert not set(waits[0]) & set(waits[1])


# --- where the notice comes from ------------------------------------------------------


@pytest.fixture
def unregistered(monkeypatch):
    """As in a new process; what is registered is seen."""
    seen: list[object] = []
    monkeypatch.setattr(copies, "_runtimes", [])
    monkeypatch.setattr(
        os, "register_at_fork", lambda *, after_in_child: seen.append(("fork", after_in_child)), raising=False
    )
    monkeypatch.setattr(snapshot_restore_py, "_after_restore_registry", [])
    return seen


def test_a_fork_is_noticed_through_one_registration(unregistered):
    """However many Runtimes there are."""
    kept = [Runtime(), Runtime()]
    assert unregistered == [("fork", copies.renew_all)]
    assert snapshot_restore_py.get_after_restore() == [], "not in Lambda: not looked for"
    assert len(kept) == 2


def test_in_lambda_a_restore_is_noticed(unregistered, monkeypatch):
    """Through the runtime's own registry, as Lambda runs it."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    source = ScriptedReads(None)
    world = World(documents=source)
    guarded = world.target().guard(world.function(1, 2, took_s=0.0))
    guarded()
    for function, args, kwargs in snapshot_restore_py.get_after_restore():
        function(*args, **kwargs)
    guarded()
    assert source.reads == 2


def test_a_runtime_without_snapshots_is_fine(unregistered, monkeypatch):
    """Container images, older runtimes: the hooks are not there; nor is fork everywhere."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)
    monkeypatch.delattr(os, "register_at_fork")
    kept = Runtime()
    assert [known() for known in copies._runtimes] == [kept]


def test_a_runtime_that_is_gone_is_not_kept_alive(unregistered):
    """Tests make thousands of them."""
    kept = Runtime()
    Runtime()
    gc.collect()
    copies.renew_all()
    Runtime()
    assert len(copies._runtimes) <= 2
    assert copies._runtimes[0]() is kept


def test_a_broken_clock_does_not_fail_the_restore(unregistered):
    """An error in the hook would fail the function; the next Runtime is renewed all the same."""

    class Broken(ManualClock):
        def wall_s(self) -> float:
            raise OSError("no clock")

    source = ScriptedReads(None)
    broken, world = Runtime(clock=Broken()), World(documents=source)
    world.target().guard(world.function(1))()
    copies.renew_all()
    assert world.counters.empty
    assert broken.targets == {}
