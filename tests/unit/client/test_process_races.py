"""Threads that flush, declare and begin at once: nothing counts twice, and nothing fails a call."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

import pytest

from flyball import books, guard
from flyball.environment import Runtime
from flyball.errors import FlyballWarning
from flyball.guard import configure, runtime
from flyball.hooks import MetricsFlushed
from flyball.otel import OpenTelemetry
from flyball.outcome import Counters
from flyball.telemetry import emf_lines
from unit.client.support import World

ROUNDS = 300


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns after each few operations."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(action: Callable[[], object], threads: int = 2) -> list[object]:
    """What the threads got, all of which began at the same moment."""
    barrier = Barrier(threads)

    def one() -> object:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(threads)]]


def test_threads_that_flush_at_once_report_a_call_once(monkeypatch):
    """Two invocations end at the same moment: what is reported twice is a storm that nobody made."""
    lines: list[str] = []
    shared = Runtime(write=lines.append)
    guard.target("t", within=shared).guard(lambda: "fine")()
    other = Thread(target=shared.flush)

    def overtaken() -> Counters:
        if other.ident is None:  # between looking at the old ones and putting these in their place
            other.start()
            other.join(0.05)
        return Counters()

    monkeypatch.setattr(books, "Counters", overtaken)
    shared.flush()
    other.join()
    assert [json.loads(line)["requests"] for line in lines] == [1]


class Late(float):
    """A latency that is looked at while another call ends."""

    latencies: object

    def __round__(self, digits: int | None = None) -> float:  # type: ignore[override]
        self.latencies.append(7.0)  # type: ignore[attr-defined]
        return 1.0


def test_a_call_that_ends_while_its_counters_are_written_fails_nothing():
    """It looked before they were taken away; the flush of another thread's invocation goes on."""
    counters = Counters()
    counters.requests = 2
    Late.latencies = counters.latencies_ms
    counters.latencies_ms.extend([Late(1.0), Late(2.0)])
    (line,) = emf_lines(counters, target="t", function="", now_s=0.0)
    assert json.loads(line)["latency"] == [1.0, 1.0]


class Recorder:
    """A meter and all of its instruments; another call ends at each latency that is recorded."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.recorded: list[float] = []

    def create_counter(self, *_args: object, **_kwargs: object) -> Recorder:
        return self

    create_histogram = create_gauge = create_counter

    def add(self, *_args: object) -> None:
        pass

    def record(self, value: float, _where: object) -> None:
        self.recorded.append(value)
        self.counters.latencies_ms.append(7.0)


def test_opentelemetry_gets_all_latencies_though_a_call_ends_meanwhile():
    """Hooks fail in silence: the rest of the histogram would be missing, and nobody would know."""
    counters = Counters()
    counters.latencies_ms.extend([1.0, 2.0])
    recorder = Recorder(counters)
    OpenTelemetry(recorder)(MetricsFlushed("t", "", counters))
    assert recorder.recorded == [1.0, 2.0]


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stdout", [closed(), None], ids=["closed", "none"])
def test_metrics_that_cannot_be_written_fail_no_call_and_are_said_once(monkeypatch, stdout):
    """A closed stream raises a ValueError and not an OSError; a windowed or detached process has none."""
    world = World()
    world.runtime._flush_write = Runtime()._flush_write
    guarded = world.target().guard(lambda: "fine")
    monkeypatch.setattr(sys, "stdout", stdout)
    with pytest.warns(FlyballWarning, match="metrics cannot be written, and calls go on: ") as said:
        answers = [(guarded(), world.clock.pass_s(60.0))[0] for _ in range(5)]
    monkeypatch.undo()
    assert (answers, len(said)) == (["fine"] * 5, 1)


def test_a_writer_of_ones_own_that_raises_fails_no_call():
    """As here, where warnings are errors: the flush happens to come in somebody's call."""

    def broken(line: str) -> None:
        raise KeyError(line)

    world = World()
    world.runtime._flush_write = broken
    guarded = world.target().guard(lambda: "fine")
    assert [(guarded(), world.clock.pass_s(60.0))[0] for _ in range(3)] == ["fine"] * 3


def test_threads_that_come_first_at_once_share_one_runtime_and_one_target(impatient):
    """What the other one knows must count here: the deadline, the kill switch, the metrics."""
    before = configure(None)
    try:
        for _ in range(ROUNDS // 10):
            configure(None)
            assert len(set(map(id, at_once(runtime, threads=4)))) == 1
        for number in range(ROUNDS):
            name = f"t-{number}"
            found = at_once(lambda name=name: runtime().target(name))  # type: ignore[misc]
            assert found[0] is found[1] is runtime().targets[name]
    finally:
        configure(before)


def test_a_second_thread_that_is_late_takes_the_runtime_of_the_first(monkeypatch):
    """Both have looked, and there was none."""
    first = Runtime(write=lambda line: None)
    before = configure(None)

    def overtaken() -> Runtime:
        configure(first)
        return Runtime(write=lambda line: None)

    monkeypatch.setattr(guard, "from_environment", overtaken)
    try:
        assert runtime() is first is runtime()
    finally:
        configure(before)


def test_a_second_thread_that_is_late_takes_the_target_of_the_first(monkeypatch):
    """The same for a target: what is published reaches the one that the Runtime knows."""
    shared = Runtime(write=lambda line: None)

    class Overtaken(dict):  # type: ignore[type-arg]
        def get(self, name: str) -> None:
            self.setdefault(name, "the first")

    shared.targets = Overtaken()
    assert shared.target("t") == "the first"
