"""The protocol's model: no step breaks a law, every planted bug does, and the code does as it says."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest

from model import rules
from model.conformance import Event, differences
from model.explore import explore
from model.protocol import Machine, Size, verdict
from model.rules import MUTANTS
from model.run import SMALL, WHOLE, conform, hunt, report
from simulation.bugs_of_change import BUGS
from simulation.schedule import draw
from simulation.world import trace


def test_no_step_of_the_protocol_breaks_a_law():
    """A small instance, whole: two controllers, two events in any order, a lost reply, a crash."""
    found = explore(Machine(SMALL))
    assert (found.broken, found.way) == ("", ())
    # Counted once; fewer would mean that something can no longer happen.
    assert (found.states, found.edges) == (22_878, 70_802)


def test_no_step_breaks_a_law_in_a_machine_of_millions_of_states():
    """Two controllers with each fault once, whole: nothing is cut off, left out or drawn."""
    found = explore(Machine(WHOLE), ways=False)
    assert found.broken == ""
    assert (found.states, found.edges, found.depth) == (3_829_584, 17_515_848, 27)


def test_a_machine_of_one_event_can_be_followed_by_hand():
    """One controller, one piece of evidence, no faults, no time: wake, load, save, publish, take."""
    size = Size(1, 1, duplicates=0, lost=0, throttles=0, crashes=0, ticks=0, time=0)
    found = explore(Machine(size))
    assert (found.states, found.depth, found.broken) == (6, 5, "")


@pytest.mark.parametrize("wrong", MUTANTS)
def test_a_planted_bug_is_caught(wrong):
    """A law that no mutant breaks may be one that nothing can break."""
    found = hunt(wrong)
    assert found.broken in MUTANTS[wrong].split()
    assert found.way


def test_there_are_enough_planted_bugs():
    """The count that reliability asks for."""
    assert len(MUTANTS) >= 25


def test_bad_and_good_news_take_turns():
    """The model's evidence: odd stamps open, even ones close."""
    assert [verdict(stamp) for stamp in (1, 2, 3)] == [rules.OPEN, rules.CLOSED, rules.OPEN]


def test_the_code_does_as_the_model_says():
    """Of some thousand real saves, answers, publications and looks each is what the rules allow."""
    kinds: Counter[tuple[str, bool]] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(12):
            events = trace(draw(seed))
            assert differences(events) == []
            kinds.update((event.kind, event.went) for event in events)
    went_both_ways = {(kind, went) for kind in ("save", "publish", "take", "told") for went in (True, False)}
    assert went_both_ways | {("count", True), ("enforce", True)} <= set(kinds)


@pytest.mark.parametrize(
    "name",
    [
        "state saved without condition",
        "circuit written without condition",
        "own write not recognised",
        "client takes older versions",
        "client ignores the end",
        "late evidence counts",
        "conflict taken for success",
    ],
)
def test_a_trace_of_wrong_code_does_not_conform(name):
    """If the model let these pass, that it lets the real code pass would mean nothing."""
    bug = next(bug for bug in BUGS if bug.name == name)
    with warnings.catch_warnings(), bug.plant():
        warnings.simplefilter("ignore")
        assert any(differences(trace(schedule)) for schedule in bug.schedules())


def test_a_difference_names_what_happened():
    """By its place in the trace, the key and both versions."""
    event = Event("save", "orders", "", 3, 4, went=True)
    assert differences([event]) == ["0:  save orders 3 over 4"]


def test_the_long_run_tells_what_it_explored_and_fails_if_a_law_breaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Its table is what a release shows, and its exit code what CI obeys."""
    monkeypatch.setattr("model.run.MUTANTS", {"client opens from nothing": "K4"})
    monkeypatch.setattr(
        "model.run.SMALL", Size(1, 1, duplicates=0, lost=0, throttles=0, crashes=0, ticks=0, time=0)
    )
    assert report("short", traces=1) == 0
    told = capsys.readouterr().out
    assert "ticks 0, time 0 | 6 | " in told
    assert "| client opens from nothing | K4 | " in told
    assert "1 traces of the code" in told
    monkeypatch.setattr("model.run.MUTANTS", {"client opens from nothing": "P1"})
    assert report("short") == 1


def test_traces_that_differ_are_counted_and_named(capsys: pytest.CaptureFixture[str]):
    """A reader gets the seed and the first event that the rules would not have."""
    with next(bug for bug in BUGS if bug.name == "state saved without condition").plant():
        assert conform(0, 1) == 1
    assert "seed 0: " in capsys.readouterr().out
