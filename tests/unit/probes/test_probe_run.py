"""When checks are due and how they run side by side: nothing that hangs delays anything else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.probes import Check, check_from_fields
from flyball_handlers.checks import Outcome
from flyball_handlers.probe_run import Due, Runner, due, phase_of

GOOD = Outcome(True, "ok", 1.0)


def probe(target: str, *, every_s: int = 60, timeout_s: float = 5.0) -> Check:
    """A check that only its name matters of."""
    fields = {"kind": "tcp", "host": "a", "port": 1, "every_s": every_s, "timeout_s": timeout_s}
    return check_from_fields(target, fields, at=str)


def at_once(*checks: Check) -> list[Due]:
    """A slot without jitter."""
    return [Due(check, 0.0) for check in checks]


class Hanging:
    """Asks that hang for targets named `hang...`, until released; counts how many run at once."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: Counter[str] = Counter()
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def __call__(self, check: Check) -> Outcome:
        with self._lock:
            self.asked[check.target] += 1
            self._running += 1
            self.most = max(self.most, self._running)
        if check.target.startswith("hang"):
            self.released.wait(20.0)
        with self._lock:
            self._running -= 1
        return GOOD


@contextmanager
def hanging() -> Iterator[Hanging]:
    """Asks that hang while the block runs."""
    asks = Hanging()
    try:
        yield asks
    finally:
        asks.released.set()


def test_checks_that_hang_do_not_keep_the_others_waiting() -> None:
    """Two places, both taken by targets that never answer: the rest has its turn all the same."""
    with hanging() as asks:
        runner = Runner(asks, clock=time.monotonic, width=2)
        hung = [probe(f"hang{n}", timeout_s=0.1) for n in range(2)]
        outcomes = runner.run(at_once(*hung, *(probe(f"well{n}") for n in range(20))))
        assert {outcomes[f"well{n}"] for n in range(20)} == {GOOD}
        assert {outcomes[one.target].code for one in hung} == {"timeout"}
        assert runner.hanging == 2


def test_a_target_that_still_hangs_is_not_asked_again_and_costs_no_second_thread() -> None:
    """Or every minute would leave one more behind."""
    with hanging() as asks:
        runner = Runner(asks, clock=time.monotonic)
        slot = at_once(probe("hang", timeout_s=0.1))
        assert runner.run(slot)["hang"].code == "timeout"
        again = runner.run(slot)["hang"]
        assert (again.good, again.code, again.broken) == (False, "still-hanging", False)
        assert asks.asked["hang"] == 1
        asks.released.set()
        while runner.hanging:
            time.sleep(0.001)
        assert runner.run(slot)["hang"] == GOOD


def test_no_more_checks_run_at_once_than_there_are_places() -> None:
    """Five hundred sockets at the same moment would be an attack of our own."""
    with hanging() as asks:
        runner = Runner(asks, clock=time.monotonic, width=3)
        outcomes = runner.run(at_once(*(probe(f"well{n}") for n in range(50))))
    assert len(outcomes) == 50
    assert 1 <= asks.most <= 3


def test_what_cannot_begin_in_time_is_said_to_be_not_reached() -> None:
    """It says nothing about its target, and is alarmed as the probe's own trouble."""
    with hanging() as asks:
        runner = Runner(asks, clock=time.monotonic, width=1)
        slot = at_once(probe("hang", timeout_s=0.3), probe("late"))
        outcomes = runner.run(slot, budget_s=0.05)
    assert (outcomes["late"].code, outcomes["late"].broken) == ("not-reached", True)
    assert outcomes["hang"].code == "timeout"


def test_a_callable_that_ends_its_thread_is_an_outcome() -> None:
    """sys.exit() in a thread is silent; waiting for it until the time-out would tell the wrong story."""

    def leaves(check: Check) -> Outcome:
        raise SystemExit(3)

    outcome = Runner(leaves, clock=time.monotonic).run(at_once(probe("t", timeout_s=9.0)))["t"]
    assert (outcome.good, outcome.code) == (False, "raised")


def test_delays_are_kept_and_an_empty_slot_is_over_at_once() -> None:
    """Jitter that is drawn but not waited for would be decoration."""
    began: dict[str, float] = {}

    def note(check: Check) -> Outcome:
        began[check.target] = time.monotonic()
        return GOOD

    runner = Runner(note, clock=time.monotonic)
    start_s = time.monotonic()
    runner.run([Due(probe("first"), 0.02), Due(probe("second"), 0.08)])
    assert began["first"] - start_s >= 0.02
    assert began["second"] - start_s >= 0.08
    assert runner.run([]) == {}


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=5), st.sampled_from([30, 60, 120, 300, 3_600]), max_size=20
    ),
    st.integers(0, 60_000_000),
)
def test_over_an_hour_each_check_is_due_as_often_as_its_interval_says(
    every: dict[str, int], hour: int
) -> None:
    """No more, no less, at even distances, and only the half-minute ones in the middle of a minute."""
    checks = [probe(target, every_s=every_s) for target, every_s in every.items()]
    slots: dict[str, list[int]] = {target: [] for target in every}
    for slot in range(120 * hour, 120 * hour + 120):
        for item in due(checks, slot, draw=lambda: 0.5):
            slots[item.check.target].append(slot)
            assert item.delay_s == 1.0
            assert slot % 2 == 0 or item.check.every_s == 30
    for target, every_s in every.items():
        assert len(slots[target]) == 3_600 // every_s
        assert {b - a for a, b in zip(slots[target], slots[target][1:], strict=False)} <= {every_s // 30}


def test_checks_of_one_interval_are_spread_over_it() -> None:
    """Five hundred targets every five minutes are a hundred a minute, not five hundred in one."""
    minutes = Counter(phase_of(f"target-{n}", 5) for n in range(500))
    assert sorted(minutes) == [0, 1, 2, 3, 4]
    assert max(minutes.values()) < 150  # 100 and five standard deviations


def test_a_slot_begins_in_the_order_of_its_delays() -> None:
    """The runner starts the first that is due; a wrong order would delay by the longest."""
    draws = iter([0.9, 0.1, 0.5])
    slot = due([probe(name, every_s=30) for name in "abc"], 1, draw=lambda: next(draws))
    assert [item.check.target for item in slot] == ["b", "c", "a"]
