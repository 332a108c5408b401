"""The whole product under faults, by seed: no law is broken, rare ways are gone, planted bugs are caught."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import pytest

from simulation.bugs_of_change import BUGS
from simulation.schedule import Schedule, Step, draw, read_back, shrink
from simulation.world import run

SEEDS = range(60)
ACCUSED = (Path(__file__).parent / "accused.txt").read_text(encoding="utf-8").splitlines()
# What a few seeds must have reached; the long run (tools/reliability.py) asks for all, and for more of each.
REACHED_SOON = (
    "lost race decided again",
    "opened",
    "closed by own probes",
    "expired circuit half-open",
    "own success refused when sent again",
    "late write landed",
    "late write refused",
    "damaged checkpoint replaced",
    "revision taken back",
    "configuration held",
    "crash before PutItem",
    "operator's hold obeyed",
)


@pytest.fixture(autouse=True)
def _quiet():
    """The client warns of what it must not obey, and the schedule puts such things there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_no_schedule_breaks_a_law_and_every_one_recovers():
    """The invariants hold whatever is interleaved, lost, late, damaged or stale; then all is well again."""
    reached: Counter[str] = Counter()
    for seed in SEEDS:
        result = run(draw(seed))
        assert result.violations == (), f"python tools/reliability.py simulate --first {seed} --schedules 1"
        reached.update(result.reached.keys())
    assert not [way for way in REACHED_SOON if not reached[way]]


@pytest.mark.parametrize("text", ACCUSED, ids=lambda text: text.split()[0])
def test_a_schedule_that_was_once_accused_breaks_no_law(text):
    """An edit taken over before the note of its start was cleared; a start long after it was counted; two
    positions of the kill switch in one function.

    As they were drawn then: what a seed draws may change, and these must not.
    """
    schedule = read_back(text)
    assert len(schedule.steps) > 20
    assert run(schedule).violations == ()


def test_one_seed_is_one_run():
    """A failure that cannot be had again cannot be mended."""
    assert run(draw(7)) == run(draw(7))
    assert draw(7) != draw(8)


def test_a_schedule_can_be_told_and_read_back():
    """What is printed of a failure is enough to run it."""
    schedule = draw(11)
    assert read_back(schedule.tell()) == schedule


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug):
    """A check that has never failed proves nothing."""
    with bug.plant():
        for schedule in bug.schedules():
            broken = [violation.law for violation in run(schedule).violations]
            if broken:
                break
    assert set(broken) & bug.laws, f"{bug.name}: {broken}"


def test_a_failing_schedule_shrinks_to_what_it_needs():
    """Of a hundred steps a reader is left with those that matter: here, a stale read after a newer one."""
    bug = next(bug for bug in BUGS if bug.name == "client takes older versions")

    def fails(schedule: Schedule) -> bool:
        return any(violation.law == "K2" for violation in run(schedule).violations)

    with bug.plant():
        whole = next(schedule for schedule in bug.schedules() if fails(schedule))
        small = shrink(whole, fails, tries=60)
        assert fails(small)
    assert len(small.steps) <= len(whole.steps) // 2
    assert any(step.kind == "lag" for step in small.steps)
    assert not fails(small)


def test_shrinking_leaves_nothing_out_that_is_needed():
    """ddmin on a rule that can be checked by hand: three given steps, whatever else there is."""
    needed = {Step("time", 1), Step("go", 2), Step("wake", 3)}
    schedule = Schedule(0, 0, False, (*draw(1).steps, *sorted(needed), *draw(2).steps))
    small = shrink(schedule, lambda tried: needed <= set(tried.steps), tries=2_000)
    assert sorted(small.steps) == sorted(needed)
